"""Questions and answers as text: prompts, completions, labels, probabilities, examples. Pure but for examples' view."""
