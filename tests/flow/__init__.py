"""The whole loop: every real process, a real broker, a tiny base model."""
