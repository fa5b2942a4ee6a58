"""Show the rows of a worker's window, or ask SQL of them, while the worker runs."""
