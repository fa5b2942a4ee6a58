"""The Faust worker: an exactly-once source and its stages."""
