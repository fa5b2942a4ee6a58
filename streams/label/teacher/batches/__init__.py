"""The teacher's batch endpoint: for records that nobody waits for, at its share of the price."""
