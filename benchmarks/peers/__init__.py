"""The peers that `benchmarks.streams` measures Millrace against: programs, and an environment of their own."""
