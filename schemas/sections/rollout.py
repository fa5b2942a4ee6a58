"""The sections of the workload file that say how a student goes into production, and what watches it there."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from pydantic import Field, field_validator

from schemas.promotion import RolloutLimits, RolloutPlan
from schemas.sections.section import Positive, Seconds, Section, Share


class Rollout(Section):
    """How a nominated student is taken into production."""

    shadow_requests: Positive = 300
    steps_percent: list[Annotated[int, Field(gt=0, le=100)]] = [5, 25, 50, 100]
    assigned_per_step: Positive = 60
    agreement_floor: Share = 0.80  # absolute limit in a first rollout: crossed with confidence, the rollout ends
    margin: Share = 0.05  # against a student champion
    error_limit: Share = 0.05
    slow_seconds: Seconds = 2.0  # an answer slower than this is slow
    slow_limit: Share = 0.10
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05  # false alarms of the whole rollout, over all guardrails
    paired_share: Share = 0.5  # of the challenger's requests in a first rollout, how many the teacher answers too
    student_timeout_seconds: Seconds = 5.0
    soak_requests: Annotated[int, Field(ge=0)] = 0

    @field_validator("steps_percent")
    @classmethod
    def _rises_to_all(cls, value: list[int]) -> list[int]:
        if value != sorted(set(value)) or value[-1:] != [100]:
            raise ValueError("must rise and end with 100, for example [5, 25, 50, 100]")
        return value

    def plan(self) -> RolloutPlan:
        """Return all of it as it travels with a nomination."""
        values = self.model_dump()
        limits = RolloutLimits(**{field.name: values.pop(field.name) for field in fields(RolloutLimits)})
        return RolloutPlan(**values, limits=limits)


class Audit(Section):
    """The uniform sample that the teacher labels whatever the student said."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
