"""The canary router's data path: assign, ask, answer, capture."""
