"""The practice teacher: an OpenAI-compatible stand-in whose truth is known."""
