"""Kafka as our processes see it: clients, framing, the registry, reading back and writing."""
