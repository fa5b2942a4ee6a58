"""The records of the stream topics, as frozen typed classes: one class for each schema in avsc/.

Field names, types and defaults equal the `.avsc` file of the same name; a test compares them.
Times are aware datetimes in UTC. Control events are in events.py. Nothing here does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class Record:
    """Root of every record: a value of a topic, or a part of one."""

    @classmethod
    def unchecked(cls, **values: Any) -> Self:
        """Return a record of the values of all its fields, unchecked.

        For the hot path: a frozen class's own `__init__` sets each field through `object.__setattr__`, 5.5 us for a
        curated record; this takes 0.5 us.
        """
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        return made


class AnsweredBy(StrEnum):
    """Who gave a recorded answer."""

    UNKNOWN = "UNKNOWN"
    TEACHER = "TEACHER"
    STUDENT = "STUDENT"


@dataclass(frozen=True, kw_only=True)
class TrafficRecord(Record):
    """One request of an application and, where known, its response, as sent: the only record that may hold raw text."""

    workload: str
    event_time: datetime  # When the request was made, by the application's clock.
    id: str | None = None  # The application's own id of the request; a retry that repeats it is a duplicate.
    client: str = ""  # The application, environment or customer that produced the record.
    client_version: str | None = None  # The version of the application that produced the record.
    source: str = ""  # Where the text came from, such as a feed; caps and PII policies go by it.
    # Hash of the API key the request came with, where the application or the router tells it; caps go by it.
    api_key_hash: str | None = None
    text: str | None = None  # The text to judge, where the application sends it bare.
    # The OpenAI chat-completion request as JSON, where the application sends that instead of text.
    request: str | None = None
    answer: str | None = None  # The recorded answer as text.
    response: str | None = None  # The OpenAI chat-completion response as JSON, where known.
    answered_by: AnsweredBy = AnsweredBy.UNKNOWN  # Who gave the recorded answer; UNKNOWN is never learnt from.
    model: str | None = None  # The model that answered, as named in the response.
    model_digest: str | None = None
    audit: bool = False  # Chosen uniformly at random for a teacher label, whatever the student said.
    selection_reason: str | None = None
    propensity: float | None = None  # Probability with which the record was chosen for audit.
    rollout_id: str | None = None
    variant: str | None = None
    # What the student in production said, where the teacher was asked besides it, and that student's version.
    student_label: str | None = None
    student_version: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)  # Fields this version does not know, kept as JSON text.


class CuratedKind(StrEnum):
    """What a curated record is."""

    RECORD = "RECORD"
    VOTE = "VOTE"
    ANCHOR = "ANCHOR"


@dataclass(frozen=True, kw_only=True)
class Origin(Record):
    """A place in a topic: the identity that accounting counts by."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class CuratedRecord(Record):
    """A redacted, normalised, deduplicated and enriched traffic record.

    Or a vote: a duplicate that says or may say another label. Or an anchor: a gold text that the teacher is asked
    again, at `event_time`, the round's; its origin is its place in gold.
    """

    record_id: str
    workload: str
    origin: Origin  # Where the record stood in traffic.
    event_time: datetime
    arrival_time: datetime  # The broker's append time in traffic.
    text: str  # Redacted and normalised.
    text_key: str  # Hash of the text's dedupe form: equal for exact duplicates.
    cluster_id: str  # The record_id of the first member of the near-duplicate cluster.
    kind: CuratedKind = CuratedKind.RECORD
    client: str = ""
    client_version: str | None = None  # The version of the application that produced the record.
    source: str = ""
    # Hash of the API key the request came with, where the application or the router tells it; caps go by it.
    api_key_hash: str | None = None
    duplicate_of: str | None = None  # For a vote: the record it duplicates.
    redactions: dict[str, int] = field(default_factory=dict)  # How many placeholders of each type redaction put in.
    language: str | None = None
    tickers: list[str] = field(default_factory=list)
    words: int = 0
    characters: int = 0  # Length of the text.
    numbers: int = 0  # How many figures stand in the text: amounts, percentages, counts.
    # ISO 4217 codes of the currencies the text names, in order, each once.
    currencies: list[str] = field(default_factory=list)
    template: str | None = None  # Fingerprint of the fixed part of the prompt, where the record held a request.
    answer: str | None = None
    answered_by: AnsweredBy = AnsweredBy.UNKNOWN
    model: str | None = None
    model_digest: str | None = None
    audit: bool = False
    selection_reason: str | None = None
    propensity: float | None = None
    rollout_id: str | None = None
    variant: str | None = None
    # What the student in production said, where the teacher was asked besides it, and that student's version.
    student_label: str | None = None
    student_version: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


class DiscardStage(StrEnum):
    """The stage in which a record ended."""

    UNKNOWN = "UNKNOWN"
    CURATE = "CURATE"
    LABEL = "LABEL"


class DiscardReason(StrEnum):
    """Why a record ended early."""

    UNKNOWN = "UNKNOWN"
    DUPLICATE_ID = "DUPLICATE_ID"
    DUPLICATE_TEXT = "DUPLICATE_TEXT"
    NEAR_DUPLICATE = "NEAR_DUPLICATE"
    FILTERED = "FILTERED"
    ANSWERED_BY_STUDENT = "ANSWERED_BY_STUDENT"
    NOT_SELECTED = "NOT_SELECTED"
    VOTE = "VOTE"


@dataclass(frozen=True, kw_only=True)
class DiscardedRecord(Record):
    """A record that ended early, and why."""

    record_id: str
    workload: str
    origin: Origin  # The record that ended: its place in traffic (stage CURATE) or curated (stage LABEL).
    event_time: datetime
    stage: DiscardStage = DiscardStage.UNKNOWN
    reason: DiscardReason = DiscardReason.UNKNOWN
    rule: str | None = None  # For FILTERED: the name of the rule, such as `quality.length`, `blend` or `cap.client`.
    detail: str = ""
    duplicate_of: str | None = None  # The record_id it duplicates; that record exists in curated.
    cluster_id: str | None = None


class LabelKind(StrEnum):
    """What a record on labels is."""

    LABEL = "LABEL"
    VOTE = "VOTE"
    ERASURE = "ERASURE"
    CORRECTION = "CORRECTION"
    ANCHOR = "ANCHOR"


class Provenance(StrEnum):
    """Where a label came from."""

    UNKNOWN = "UNKNOWN"
    TEACHER = "TEACHER"
    HARVEST = "HARVEST"
    CLUSTER = "CLUSTER"
    GOLD = "GOLD"


class Split(StrEnum):
    """The part a cluster plays, for ever."""

    TRAIN = "TRAIN"
    VALIDATION = "VALIDATION"
    CERTIFICATION = "CERTIFICATION"
    TEST = "TEST"


@dataclass(frozen=True, kw_only=True)
class LabelRecord(Record):
    """A curated record with its teacher label.

    Or an erasure, or a correction: another label for a record that has one, its origin the label it corrects. Or an
    anchor: what the teacher says of a gold text this time.
    """

    record_id: str
    workload: str
    origin: Origin  # Where the record stood in curated.
    event_time: datetime
    text: str
    cluster_id: str
    label: str
    kind: LabelKind = LabelKind.LABEL
    client: str = ""
    source: str = ""
    # Soft label over the classes; null where the teacher gives no probabilities.
    class_probabilities: dict[str, float] | None = None
    provenance: Provenance = Provenance.UNKNOWN
    teacher_model: str | None = None
    prompt_sha256: str | None = None
    teacher_calls: int = 0
    # The same calls by what they were made for: first, retry, vote, second_prompt, paraphrase.
    calls: dict[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    batched: bool = False  # The teacher was asked through its batch endpoint, at the price of that.
    split: Split = Split.TRAIN  # Decided once, by the hash of the cluster.
    audit: bool = False
    selection_reason: str | None = None
    propensity: float = 1.0  # Probability with which the record was chosen for a label.
    # Other words for the text, by the teacher: of training records of rare classes.
    paraphrases: list[str] = field(default_factory=list)
    rollout_id: str | None = None
    # What the student in production said, where the teacher was asked besides it, and that student's version.
    student_label: str | None = None
    student_version: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GoldLabel(Record):
    """A label that a person gave to a text, so that the teacher can be judged; students never learn from it."""

    gold_id: str  # Hash of workload, text and annotator: an annotator's later label of a text replaces the earlier.
    workload: str
    text: str  # Redacted and normalised.
    text_key: str  # Hash of the text's dedupe form: joins it with labels.
    label: str
    annotator: str  # Who gave the label: a name or a pseudonym.
    time: datetime  # When it was added.
    file: str = ""  # Name of the file it came from.
    line: int = 0  # Its line there.


@dataclass(frozen=True, kw_only=True)
class Ceiling(Record):
    """How often a teacher gives the same label twice, and so how often a student can agree with it at most."""

    workload: str
    time: datetime  # When it was asked again.
    teacher_model: str
    prompt_sha256: str
    rows: int  # Test records that it gave a label both times.
    effective_n: float  # Kish, by the inverse of their propensity.
    self_agreement: float  # Weighted share of them with the same label both times.
    low: float  # Of its 95 % interval.
    high: float
    ceiling: float  # Highest agreement of any student that `high` leaves possible.
    unlabelled: int = 0  # Records that it gave no label the second time: not among the rows.
    teacher_calls: int = 0  # What asking again cost.
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Header(Record):
    """One Kafka header as it arrived."""

    name: str
    value: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class DeadLetter(Record):
    """A record that could not be processed: why, and where it still stands while traffic is kept."""

    reason: str  # A code from the catalogue in schemas/errors.py.
    detail: str
    stage: str
    origin: Origin
    time: datetime  # When the origin was appended, by the broker's clock.
    payload: bytes  # After redaction; oversized records keep their first 64 kB.
    payload_bytes: int  # Size as it arrived.
    payload_sha256: str  # Of the bytes as they arrived.
    workload: str | None = None
    record_id: str | None = None  # The id the record has or would have had, where it could be read so far.
    attempts: int = 1
    code_version: str = ""
    key: bytes | None = None
    headers: list[Header] = field(default_factory=list)
    truncated: bool = False


class OutcomeMode(StrEnum):
    """Whether the answer went to a user."""

    UNKNOWN = "UNKNOWN"
    LIVE = "LIVE"
    SHADOW = "SHADOW"


class Variant(StrEnum):
    """One side of a rollout."""

    UNKNOWN = "UNKNOWN"
    CHAMPION = "CHAMPION"
    CHALLENGER = "CHALLENGER"


@dataclass(frozen=True, kw_only=True)
class Outcome(Record):
    """What the router answered to one request, and what the other variant said where it was asked."""

    request_id: str
    workload: str
    text_key: str  # Stands for the near-duplicate cluster in paired tests: one observation each.
    latency_seconds: float
    time: datetime
    record_id: str | None = None  # The id the request carries in traffic.
    rollout_id: str | None = None
    epoch: int = 0
    sequence: int = 0  # Of the model state the request was assigned under.
    mode: OutcomeMode = OutcomeMode.UNKNOWN
    eligible: bool = True
    ineligible_reason: str | None = None
    assigned: Variant = Variant.UNKNOWN
    served: Variant = Variant.UNKNOWN
    served_version: str = ""
    fallback_reason: str | None = None
    label: str | None = None  # The label that was served.
    confidence: float | None = None
    champion_label: str | None = None
    challenger_label: str | None = None
    teacher_label: str | None = None  # The teacher's answer where it was asked: the reference of the paired test.
    champion_seconds: float | None = None
    challenger_seconds: float | None = None
    status: int = 200
    challenger_failed: bool = False
    audit: bool = False
    propensity: float | None = None
