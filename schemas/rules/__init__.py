"""Pure rules that several processes share exactly."""
