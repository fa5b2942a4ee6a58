"""`millrace triggers`: why a retrain was asked for, and why none is asked for now."""
