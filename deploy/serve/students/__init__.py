"""The student server: one base model and many students, behind vLLM's routes."""
