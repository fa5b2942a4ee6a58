"""The parts of the demo that can be held to a promise alone; the play itself is in tests/flow."""
