"""The student server, and the practice teacher."""
