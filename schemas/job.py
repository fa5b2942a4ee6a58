"""The specification of a retrain job: everything a recipe needs, in one immutable value.

Plain classes, standard library only.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Final

from schemas.promotion import RolloutLimits, RolloutPlan

_LATER: Final = frozenset({"guardrails", "soak_requests", "limits"})  # fields of a plan that jobs had not at first


@dataclass(frozen=True, kw_only=True)
class StudentSpec:
    """What is trained, and how."""

    base_model: str
    epochs: int
    batch: int
    learning_rate: float
    rank: int
    max_tokens: int
    temperature: float
    soft_label_weight: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class GateSpec:
    """What a student must prove."""

    agreement_floor: float
    margin: float
    class_rows: int


@dataclass(frozen=True, kw_only=True)
class ChampionSpec:
    """The student in production, to be compared with on the same rows."""

    version: str
    uri: str
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One retrain job. Its canonical JSON is its identity."""

    request_id: str
    workload: str
    epoch: int
    labels: list[str]
    snapshot_uri: str
    snapshot_sha256: str
    trigger: str
    trigger_threshold: float
    trigger_value: float
    student: StudentSpec
    gate: GateSpec
    plan: RolloutPlan
    champion: ChampionSpec | None = None

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces; what an older job's plan did not have, it does not get."""
        values = dataclasses.asdict(self)
        values["plan"] = {name: value for name, value in values["plan"].items() if value or name not in _LATER}
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> JobSpec:
        """Return the specification that `to_json` wrote.

        Raises:
            ValueError: the text is no JSON. TypeError, KeyError: a field is missing or unknown.
        """
        values: dict[str, Any] = json.loads(text)
        champion, plan = values.pop("champion"), values.pop("plan")
        limits = RolloutLimits(**plan.pop("limits")) if "limits" in plan else None
        return cls(
            student=StudentSpec(**values.pop("student")),
            gate=GateSpec(**values.pop("gate")),
            plan=RolloutPlan(**plan, limits=limits),
            champion=ChampionSpec(**champion) if champion else None,
            **values,
        )
