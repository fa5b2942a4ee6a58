"""What a person calls once and reads the answer of: one package per command."""
