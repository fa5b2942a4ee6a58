"""The sections of the workload file that say which labels are learnt from, and which judge."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from schemas.sections.section import Positive, Section, Share


class Splits(Section):
    """Shares of the clusters that are never trained on; the rest trains."""

    validation: Share = 0.10
    certification: Share = 0.05
    test: Share = 0.20

    @model_validator(mode="after")
    def _leaves_training(self) -> Self:
        if self.validation + self.certification + self.test >= 0.9:
            raise ValueError("validation + certification + test must leave at least 0.1 for training")
        return self


class Window(Section):
    """What is learnt from."""

    rows: Positive = 3_000  # training rows at most
    quota: Positive = 1_000  # training rows per class at most
    source_rows: Positive | None = None  # training rows of one source in a class at most; None: no cap
    cluster_rows: Positive = 1  # training rows of one near-duplicate cluster at most
    age_days: Positive = 180
