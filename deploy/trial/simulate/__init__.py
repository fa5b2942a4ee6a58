"""Traffic with known truth: the newswire, and the replay of files."""
