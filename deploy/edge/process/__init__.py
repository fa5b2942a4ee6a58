"""What every process wears: settings, logs, probes, one-line errors, guarded HTTP."""
