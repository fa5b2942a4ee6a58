"""The outer skin of every process: settings, Kafka clients, logs, probes, guarded HTTP."""
