"""What labels cost: the ledger of calls to the teacher, from the topics."""
