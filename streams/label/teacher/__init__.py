"""The teacher as the label stage asks it: when a call may go, what it costs, how it is retried."""
