"""Show and command the rollout of a workload."""
