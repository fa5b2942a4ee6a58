"""Which classes the newswire has, and how often: a skew of 52 to 1 that every 240 headlines hold exactly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

WORKLOAD: Final = "newswire"

# Headlines of each class in a deck of 240, most frequent first (the order of the workload file's labels).
FREQUENCIES: Final[dict[str, int]] = {
    "other": 52,
    "stock price movement": 34,
    "earnings": 28,
    "products and services": 24,
    "mergers and acquisitions": 20,
    "analyst rating": 17,
    "price targets": 15,
    "regulatory": 14,
    "dividends": 11,
    "guidance": 10,
    "labour issues": 8,
    "credit ratings": 6,
    "product approval": 1,
}


def classes(rng: random.Random) -> Iterator[str]:
    """Yield the class of each headline for ever: deck after deck, each shuffled."""
    deck = [label for label, count in FREQUENCIES.items() for _ in range(count)]
    while True:
        rng.shuffle(deck)
        yield from deck
