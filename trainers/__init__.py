"""The retrain job: request, snapshot, students, evaluation, gate, event."""
