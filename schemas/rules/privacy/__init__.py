"""Personal data in texts: what is found, and what stands in its place. Pure."""
