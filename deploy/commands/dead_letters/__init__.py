"""Dead letters: list them, show one, and replay their records."""
