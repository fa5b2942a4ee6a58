"""When a retrain is due: one pure module a trigger, and the policy."""
