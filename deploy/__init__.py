"""Taking models and the system into production."""
