"""The embedded broker, the topics, producers and consumers for other languages."""
