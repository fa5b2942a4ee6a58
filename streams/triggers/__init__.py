"""When a retrain is due: one pure module per trigger, and the policy."""
