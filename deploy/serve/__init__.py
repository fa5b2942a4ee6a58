"""What answers requests: the router, the student server, and the practice teacher."""
