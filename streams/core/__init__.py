"""The exactly-once core: consume, rebuild, transact, account. It does not know what a stage does."""
