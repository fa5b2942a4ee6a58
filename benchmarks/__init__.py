"""Programs that print every figure the README quotes."""
