"""Programs that print every figure of docs/figures.md."""
