"""All processes on one machine: up, down, status, logs, doctor, init."""
