"""A workload's redaction as a process carries it out."""
