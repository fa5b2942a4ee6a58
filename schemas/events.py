"""The control events: retrain requests, runs, rollouts and model state; nominations are in promotion.py.

Field names, types and defaults equal the `.avsc` file of the same name; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from schemas.records import Record


@dataclass(frozen=True, kw_only=True)
class TriggerVerdict(Record):
    """What one trigger concluded, with its numbers."""

    trigger: str
    fired: bool
    numbers: dict[str, float] = field(default_factory=dict)
    explanation: str = ""


@dataclass(frozen=True, kw_only=True)
class RetrainRequest(Record):
    """A threshold event: which trigger fired, its numbers, and the immutable snapshot to learn from."""

    request_id: str  # Hash of workload and epoch.
    workload: str
    epoch: int
    trigger: str
    verdicts: list[TriggerVerdict]
    labels_partition: int
    labels_offset: int  # The labels offset at which the trigger fired; the snapshot covers everything below it.
    snapshot_id: str
    snapshot_uri: str
    snapshot_sha256: str
    rows: int
    job: str  # The job specification as canonical JSON.
    time: datetime


class RunState(StrEnum):
    """How far a retrain job is."""

    UNKNOWN = "UNKNOWN"
    QUEUED = "QUEUED"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Record):
    """One step in the life of a retrain job."""

    run_id: str
    request_id: str
    workload: str
    epoch: int
    time: datetime
    state: RunState = RunState.UNKNOWN
    attempt: int = 1
    phase: str = ""
    step: int = 0
    steps: int = 0
    loss: float | None = None
    message: str = ""
    event_id: str | None = None  # The model-promotion event the run ended in.
    numbers: dict[str, float] = field(default_factory=dict)


class RolloutState(StrEnum):
    """How far a rollout is."""

    UNKNOWN = "UNKNOWN"
    IDLE = "IDLE"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    HOLD = "HOLD"
    PROMOTING = "PROMOTING"
    PROMOTED = "PROMOTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, kw_only=True)
class RolloutStatus(Record):
    """One transition of a rollout, or one override, with the numbers it rests on."""

    workload: str
    rollout_id: str
    epoch: int
    sequence: int
    reason: str
    time: datetime
    state: RolloutState = RolloutState.UNKNOWN
    previous: RolloutState = RolloutState.UNKNOWN
    step: int = -1  # Index into the plan's steps; -1 in shadow.
    weight: float = 0.0
    text: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    champion: str | None = None  # null: the teacher.
    challenger: str | None = None
    promotion_event_id: str | None = None
    actor: str = "controller"
    command_id: str | None = None  # The command this status answers.


class RolloutAction(StrEnum):
    """What a person asks of a rollout."""

    UNKNOWN = "UNKNOWN"
    HOLD = "HOLD"
    RESUME = "RESUME"
    ABORT = "ABORT"
    PROMOTE = "PROMOTE"
    UNDO = "UNDO"


@dataclass(frozen=True, kw_only=True)
class RolloutCommand(Record):
    """An override by a person or by a router that lowered a weight."""

    command_id: str
    workload: str
    who: str
    why: str
    time: datetime
    rollout_id: str | None = None  # null: the rollout in flight.
    action: RolloutAction = RolloutAction.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class ServedModel(Record):
    """What a router must know to serve and verify a student."""

    version: str
    uri: str
    manifest_sha256: str
    base_model: str
    labels: list[str]
    max_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class ModelState(Record):
    """What the routers of a model line shall serve; the highest (epoch, sequence) wins."""

    workload: str
    epoch: int
    sequence: int
    time: datetime
    state: RolloutState = RolloutState.UNKNOWN
    rollout_id: str | None = None
    champion: ServedModel | None = None  # null: the teacher.
    challenger: ServedModel | None = None
    weight: float = 0.0  # Share of eligible requests assigned to the challenger, 0 to 1.
    step: int = -1
    shadow: bool = False
    # The nomination in flight, as it stood on model-promotion: what the controller needs to go on after a restart.
    nomination: bytes | None = None
    # The controller's input offsets (topic/partition) this state covers.
    positions: dict[str, int] = field(default_factory=dict)
    # The champion before the last promotion, where undo leads back to; null: the teacher.
    former: ServedModel | None = None
    reason: str = ""  # Why the line is in this state; a hold for evidence goes on by itself, a person's hold does not.
    step_sequence: int = 0  # The sequence at which the step began: only outcomes assigned under it or later count.
    outcomes_from: int = 0  # No outcome of the rollout stands before this offset of outcomes.
