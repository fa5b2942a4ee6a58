"""The sections of the workload file that say which labels are asked for, and which are learnt from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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


class Select(Section):
    """Which records the teacher is asked for a label; recorded answers and audited records always become labels."""

    policy: Literal["everything", "uniform", "active"] = "everything"
    train_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # of the records of training clusters
    evaluation_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # of the others: uniform under every policy

    @model_validator(mode="after")
    def _everything_has_no_share(self) -> Self:
        if self.policy == "everything" and min(self.train_share, self.evaluation_share) < 1:
            raise ValueError('policy = "everything" takes no shares below 1; say policy = "uniform" or "active"')
        if self.policy == "active" and self.train_share == 1:
            raise ValueError('policy = "active" needs a train_share below 1: there is nothing to choose')
        return self


class Window(Section):
    """What is learnt from."""

    rows: Positive = 3_000  # training rows at most
    quota: Positive = 1_000  # training rows per class at most
    source_rows: Positive | None = None  # training rows of one source in a class at most; None: no cap
    cluster_rows: Positive = 1  # training rows of one near-duplicate cluster at most
    age_days: Positive = 180
