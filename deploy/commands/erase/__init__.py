"""Remove a person's records from labels, window and gold; list what was made from them."""
