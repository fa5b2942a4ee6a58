"""Personal data in texts: what is found, and what replaces it. Pure."""
