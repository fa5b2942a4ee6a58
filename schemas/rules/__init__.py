"""Pure rules that several processes share to the letter."""
