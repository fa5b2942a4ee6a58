"""Take a person's records out of the labels, the window and gold; say what still rests on them."""
