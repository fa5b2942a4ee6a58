"""The rollout controller: nominations and outcomes in, model state out."""
