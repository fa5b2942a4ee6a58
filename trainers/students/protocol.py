"""What every student is: something that learns from rows and gives class probabilities for texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from schemas.arrays import Floats
from trainers.progress import Progress
from trainers.snapshot import Rows


class Rung(Protocol):
    """One rung of the ladder."""

    name: str

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:
        """Learn from train rows; choose what is chosen (epoch, C, temperature) on validation rows."""
        ...

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return calibrated class probabilities (texts, labels)."""
        ...
