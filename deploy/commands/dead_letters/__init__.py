"""Dead letters: list them, look at one, and send the records they stand for on their way again."""
