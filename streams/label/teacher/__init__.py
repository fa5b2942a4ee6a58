"""The teacher as the label stage asks it: when a call may go out, what it costs, how it is retried."""
