"""The sections of the workload file, each where its part of the loop would look for it."""
