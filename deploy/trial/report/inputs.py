"""What a report is made of, as types: the summary of a loop, the evidence of its run, the flow by stage.

`Summary` is the one definition of `summary.json`: whoever writes that file writes this class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import BadInput


class Part(BaseModel):
    """A part of the summary: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlantedFound(Part):
    """What was planted, and what of it was found."""

    planted: int
    found: int


class RedactedFound(Part):
    """Planted personal data, and what of it was redacted."""

    planted: int
    redacted: int


class WindowSummary(Part):
    """Training rows in the window, by class."""

    rows: int
    classes: dict[str, int]


class StudentSummary(Part):
    """One student on the test rows: F1 and agreement against the teacher, accuracy against the truth."""

    name: str
    role: str
    nominee: bool = False  # it is the one that the gate judged
    baseline: bool = False  # it is the one that all are compared with
    n: int
    macro_f1: float
    macro_f1_low: float | None
    macro_f1_high: float | None
    agreement: float
    accuracy: float | None  # None: no true labels are known
    effective_n: float | None = None  # of the rows, by propensity and cluster
    request_agreement: float | None = None  # a cluster counts for all its requests; None: they were not counted


class GateSummary(Part):
    """What the gate decided, and why."""

    decision: str
    reasons: list[str] | list[dict[str, Any]]  # a code and a text, as in schemas.promotion.Reason


class PromotionSummary(Part):
    """The event that nominated the student."""

    event_id: str | None
    model_version: str | None


class RolloutSummary(Part):
    """How the rollout ended and which steps it went."""

    final_state: str
    steps: list[str] | list[dict[str, Any]]


class TeacherSummary(Part):
    """Where labels came from: asked for, recorded with the traffic, or known from their cluster; and what they cost."""

    calls: int
    harvested: int
    cache_hits: int = 0
    retries: int = 0
    second_prompts: int = 0
    tokens: int | None = None
    money: float | None = None  # None: the workload names no price
    currency: str | None = None


class TriggerSummary(Part):
    """What one trigger said when the retrain was asked for."""

    name: str
    fired: bool
    numbers: dict[str, float]
    explanation: str


class LoopSaving(Part):
    """What the student's answers spared."""

    teacher_tokens_avoided: int


class Summary(Part):
    """One loop in figures."""

    seconds: float
    records: int
    residual: int
    duplicates: PlantedFound
    near_duplicates: PlantedFound
    pii: RedactedFound
    dead_letters: PlantedFound
    window: WindowSummary
    students: list[StudentSummary]
    gate: GateSummary
    promotion: PromotionSummary
    rollout: RolloutSummary
    champion: str | None
    teacher: TeacherSummary
    saving: LoopSaving
    triggers: list[TriggerSummary] = []

    @property
    def nominee(self) -> StudentSummary | None:
        """The student that the gate judged; None: the loop came to none."""
        return next((student for student in self.students if student.nominee), None)

    @property
    def baseline(self) -> StudentSummary | None:
        """The student that all are compared with; None: the loop came to none."""
        return next((student for student in self.students if student.baseline), None)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Return the summary of these values.

        Raises:
            BadInput: a key is missing, unknown or of another type.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            mistake = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in mistake["loc"])
            raise BadInput(f"summary: {path}", mistake["input"], mistake["msg"]) from error


@dataclass(frozen=True, kw_only=True)
class StageFlow:
    """What a stage consumed and what became of it."""

    stage: str
    consumed: int
    outcomes: dict[str, int]

    @property
    def residual(self) -> int:
        """Records that are nowhere (above 0) or in two places (below 0)."""
        return self.consumed - sum(self.outcomes.values())


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class's F1 of one student, with its interval."""

    label: str
    role: str
    value: float
    low: float | None
    high: float | None
    n: int


def class_scores(evidence: Mapping[str, Any]) -> list[ClassScore]:
    """Return the per-class F1 of a run's evidence, in its order.

    Raises:
        BadInput: the evidence has no such figures.
    """
    try:
        return [
            ClassScore(
                label=metric["class_name"], role=metric["role"], value=metric["value"], low=metric["low"],
                high=metric["high"], n=metric["n"],
            )
            for metric in evidence["evaluation"]["metrics"]
            if metric["name"] == "f1" and metric["class_name"] is not None
        ]  # fmt: skip
    except (KeyError, TypeError) as error:
        raise BadInput(
            "evidence", type(error).__name__, "needs evaluation.metrics as trainers.recipe writes it"
        ) from error
