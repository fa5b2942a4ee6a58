"""The teacher's batch endpoint: for records that nobody waits for, at a lower price."""
