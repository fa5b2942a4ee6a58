"""The nomination of a student: what it is, what it proved, what the gate decided, and the plan of its rollout.

Field names, types and defaults equal `avsc/ModelPromotion.avsc`; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from schemas.records import Record


@dataclass(frozen=True, kw_only=True)
class BaseModel(Record):
    """The frozen model under an adapter."""

    id: str
    revision: str | None = None
    sha256: str | None = None


class StudentForm(StrEnum):
    """How a student gives its label."""

    UNKNOWN = "UNKNOWN"
    SEQUENCE_CLASSIFICATION = "SEQUENCE_CLASSIFICATION"
    GENERATIVE = "GENERATIVE"
    LINEAR = "LINEAR"

    @classmethod
    def of(cls, form: str) -> StudentForm:
        """Return the symbol of a manifest's form; one that is younger than this enum is UNKNOWN."""
        return cls.__members__.get(form.upper().replace("-", "_"), cls.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class ArtifactFile(Record):
    """One file of an artefact."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Lora(Record):
    """The adapter's shape."""

    rank: int
    alpha: float
    target_modules: list[str]
    modules_to_save: list[str]


@dataclass(frozen=True, kw_only=True)
class Artifact(Record):
    """Where the adapter is and what it must hash to."""

    adapter_uri: str
    files: list[ArtifactFile]
    manifest_sha256: str
    format: str = "safetensors"
    lora: Lora | None = None
    pooling: str = ""
    max_tokens: int = 0
    tokenizer_sha256: str | None = None
    prompt_template_sha256: str | None = None
    min_runtime: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingData(Record):
    """What the student learnt from."""

    snapshot_id: str
    snapshot_uri: str
    manifest_sha256: str
    row_count: int
    class_counts: dict[str, int] = field(default_factory=dict)
    time_from: datetime | None = None
    time_to: datetime | None = None
    policy_id: str = ""
    teacher_model: str | None = None
    teacher_version: str | None = None
    teacher_prompt_sha256: str | None = None
    teacher_price: float | None = None
    pii_policy_version: str | None = None
    trigger_name: str = ""
    trigger_threshold: float | None = None
    trigger_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Metric(Record):
    """One figure with its interval."""

    name: str
    value: float
    class_name: str | None = None  # null: over all classes.
    role: str = "tuned"  # Of one of the evaluated students, or champion.
    low: float | None = None
    high: float | None = None
    method: str = ""
    n: int = 0
    effective_n: float | None = None


@dataclass(frozen=True, kw_only=True)
class PairedDifference(Record):
    """Challenger minus champion on the same rows."""

    metric: str
    value: float
    low: float
    high: float
    method: str
    n: int = 0


@dataclass(frozen=True, kw_only=True)
class EvaluatedStudent(Record):
    """A student that was trained and evaluated: what the figures of its role are about."""

    role: str
    name: str
    form: str = ""  # How it is served; empty: it is only compared with.
    cost_ms: float = 0.0  # One core, one short text.


@dataclass(frozen=True, kw_only=True)
class Evaluation(Record):
    """How the student did on rows it never saw."""

    eval_set_id: str
    eval_sha256: str
    n: int
    times_used: int = 1
    metrics: list[Metric] = field(default_factory=list)
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None
    champion_version: str | None = None
    champion_metrics: list[Metric] = field(default_factory=list)
    paired_difference: PairedDifference | None = None
    human_metrics: list[Metric] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)  # Classes with too few effective rows to judge.
    teacher_self_agreement: float | None = None
    students: list[EvaluatedStudent] = field(default_factory=list)  # In the order of the ladder.
    nominee: str = "tuned"  # The role that is nominated.
    baseline: str = "baseline"  # The role that all are compared with.


class PromotionDecision(StrEnum):
    """What the gate decided."""

    UNKNOWN = "UNKNOWN"
    PROMOTE = "PROMOTE"
    HOLD = "HOLD"
    REJECT = "REJECT"
    ROLLBACK = "ROLLBACK"
    RETIRE = "RETIRE"
    INSUFFICIENT_EVIDENCE = "INSUFFICIENT_EVIDENCE"


@dataclass(frozen=True, kw_only=True)
class Reason(Record):
    """One reason of a decision, with the numbers it rests on."""

    code: str
    text: str
    observed: float | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class RolloutLimits(Record):
    """What a rollout is held against, and how it is watched."""

    agreement_floor: float  # In a first rollout.
    margin: float  # Against a student champion.
    error_limit: float
    slow_seconds: float
    slow_limit: float
    alpha: float
    paired_share: float
    student_timeout_seconds: float


@dataclass(frozen=True, kw_only=True)
class RolloutPlan(Record):
    """What rules a rollout, from the request for a student to its end, as the workload's file said at the request."""

    shadow_requests: int
    steps_percent: list[int]
    assigned_per_step: int
    guardrails: dict[str, float] = field(default_factory=dict)  # Unused, always empty: `limits` has them by name.
    soak_requests: int = 0
    limits: RolloutLimits | None = None  # null: by a version before 0.2; limits and soak are those of today's file.


@dataclass(frozen=True, kw_only=True)
class Decision(Record):
    """The gate's decision and its reasons."""

    outcome: PromotionDecision = PromotionDecision.UNKNOWN
    mode: str = ""
    reasons: list[Reason] = field(default_factory=list)
    policy_id: str = ""
    policy_sha256: str | None = None
    plan: RolloutPlan | None = None
    expires_at: datetime | None = None
    supersedes: str | None = None
    rollback_to: str | None = None
    approved_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lineage(Record):
    """Which run made the model."""

    training_run_id: str
    openlineage_run_id: str | None = None
    code_sha: str | None = None
    container_digest: str | None = None
    seed: int | None = None
    hyperparameters_sha256: str | None = None
    hardware: str | None = None
    duration_seconds: float | None = None
    cost: float | None = None
    parent_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trust(Record):
    """Signature and hash chain; null until signatures exist."""

    signature: bytes | None = None
    key_id: str | None = None
    signature_scheme: str | None = None
    previous_event_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelPromotion(Record):
    """A nomination with its evidence. Decode it with the writer schema in the record's avro.schema header."""

    event_id: str  # uuid5 of model version, decision and evaluation digest: a job that runs again sends the same id.
    event_time: datetime
    recorded_time: datetime
    sequence: int  # Per model line.
    model_line: str  # The workload.
    model_id: str
    model_version: str  # Immutable; ends in the artefact's digest.
    labels: list[str]  # In the order of the model's outputs.
    base_model: BaseModel
    decision: Decision
    producer_name: str = "millrace"
    producer_version: str = ""
    producer_git_sha: str | None = None
    correlation_id: str | None = None  # The retrain request.
    causation_id: str | None = None  # The training run.
    task: str = "classification"
    student_form: StudentForm = StudentForm.UNKNOWN
    artifact: Artifact | None = None
    data: TrainingData | None = None
    evaluation: Evaluation | None = None
    lineage: Lineage | None = None
    trust: Trust | None = None
