"""The section of the workload file that says when a retrain is requested."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.rules.freeze import days
from schemas.sections.section import Positive, Section

Asking = Literal[
    "count", "class-count", "age", "label-mix", "input-drift", "confidence", "disagreement", "teacher-drift"
]


class Cost(Section):
    """What a retrain costs and what an answer is worth, in one currency; given, a request must pay for itself."""

    run: Annotated[float, Field(ge=0)] | None = None  # one run: GPU and work; None: cost does not count
    label: Annotated[float, Field(ge=0)] = 0.0  # one new label
    answer: Annotated[float, Field(gt=0)] | None = None  # worth of one more answer that agrees with the teacher
    requests_per_day: Positive | None = None
    days: Positive = 30  # for which the new student is expected to answer

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = [self.run is not None, self.answer is not None, self.requests_per_day is not None]
        if any(given) and not all(given):
            raise ValueError("run, answer and requests_per_day are needed together; give all three or none")
        return self


class Triggers(Section):
    """When a retrain is requested. What is None or empty is off."""

    count: Positive = 3_000  # new labels since the last request
    class_counts: dict[str, Positive] = {}  # label -> new labels of this class
    age_hours: Annotated[float, Field(gt=0)] | None = None  # oldest allowed age of the last request; None: no limit
    cooldown_hours: Annotated[float, Field(ge=0)] = 0.0  # least time between two requests
    least_rows: Positive = 200  # no request below this many training rows, nor with fewer than two classes
    # The statistical triggers: each number is the least change that matters, whatever a test says.
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01  # of each: a false alarm between two requests, over all looks
    label_mix: Annotated[float, Field(gt=0)] | None = None  # Cohen's w: 0.1 is small, 0.3 medium
    input_drift: Annotated[float, Field(gt=0, lt=1)] | None = None  # a word's share of the texts, up or down
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None  # the teacher's mean confidence, up or down
    disagreement: Annotated[float, Field(gt=0, lt=1)] | None = None  # share of the audit that the student may miss
    doubt: Annotated[float, Field(gt=0, lt=1)] | None = None  # share of labels the teacher doubts: alarm only
    teacher_drift: Annotated[float, Field(gt=0, lt=1)] | None = None  # share of the anchors that got another answer
    anchor_hours: Annotated[float, Field(gt=0, le=720)] = 24.0  # between rounds; `curated` holds them for 90 days
    anchors: Annotated[int, Field(ge=20, le=10_000)] = 100  # most per round; below 20 the test cannot fire
    mode: Literal["observe", "suggest", "auto"] = "auto"
    rule: Literal["any", "all", "weighted"] = "any"
    weights: dict[Asking, Annotated[float, Field(gt=0)]] = {}  # weighted: those that fire must add up to 1
    freeze: list[str] = []  # days without a request
    max_run_age_hours: Annotated[float, Field(gt=0)] = 72.0  # then a run that has not ended holds nothing back
    cost: Cost = Cost()

    @field_validator("freeze")
    @classmethod
    def _are_days(cls, value: list[str]) -> list[str]:
        for entry in value:
            days(entry)
        return value

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if (self.rule == "weighted") != bool(self.weights):
            raise ValueError('weights and rule = "weighted" are needed together')
        off = [name for name in self.weights if not self.is_on(name)]
        if off:
            raise ValueError(f"weights names {off[0]!r}, which is off; turn the trigger on or leave it out")
        if self.weights and sum(self.weights.values()) < 1:
            raise ValueError(f"weights add up to {sum(self.weights.values()):g}; below 1 they can never ask")
        return self

    def is_on(self, name: Asking) -> bool:
        """Return whether a trigger is on."""
        key = {"age": "age_hours", "class-count": "class_counts"}.get(name, name.replace("-", "_"))
        return bool(getattr(self, key))
