"""The catalogue of topics: name, record, kept for how long, who writes and who reads.

The code keeps to it: each client is opened for a principal, and refuses a topic that the catalogue does not give it.
Start offsets, the sources of the stages and docs are made from it.

Every topic is keyed by the workload's name and has the same number of partitions, so that whatever concerns one
workload meets in one worker. All topics use LogAppendTime: event time lives in the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from schemas import events, promotion, records
from schemas.principals import Principal as Who
from schemas.principals import TopicAccess

PARTITIONS: Final = 8  # for life: another number would send a workload's records to another worker
RECORD_BYTES: Final = 1_000_000  # largest traffic record
OUTPUT_BYTES: Final = 2 * RECORD_BYTES  # outputs carry a record and what we add: a rejected output would lose its batch

Compatibility = Literal["BACKWARD_TRANSITIVE", "FULL_TRANSITIVE"]


@dataclass(frozen=True, eq=False)  # each is itself: a hash over all fields took 1 us at every look-up, 8 times a record
class Topic:
    """One topic of the catalogue."""

    name: str
    record: type[records.Record]
    retention: timedelta | None  # None: for ever
    purpose: str
    writers: frozenset[Who]
    consumers: frozenset[Who] = frozenset()  # in a group, whose start offsets are committed before it first runs
    readers: frozenset[Who] = frozenset()  # without a group, as the topic is
    rebuilds: frozenset[Who] = frozenset()  # without a group, for a state of their own
    compacted: bool = False
    compatibility: Compatibility = "BACKWARD_TRANSITIVE"
    max_bytes: int = OUTPUT_BYTES

    def principals(self, access: TopicAccess) -> frozenset[Who]:
        """Return who has this access."""
        match access:
            case TopicAccess.WRITE:
                return self.writers
            case TopicAccess.CONSUME:
                return self.consumers
            case TopicAccess.READ:
                return self.readers
            case TopicAccess.REBUILD:
                return self.rebuilds

    def who(self, access: TopicAccess) -> str:
        """Return who has this access, in words."""
        return ", ".join(principal for principal in Who if principal in self.principals(access))

    def config(self) -> dict[str, str]:
        """Return the broker's configuration of the topic."""
        config = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(self.max_bytes),
        }
        if not self.compacted:
            milliseconds = -1 if self.retention is None else int(self.retention.total_seconds() * 1000)
            config |= {"retention.ms": str(milliseconds), "retention.bytes": "-1"}
        return config


def _days(days: int) -> timedelta:
    return timedelta(days=days)


TRAFFIC: Final = Topic(
    "traffic",
    records.TrafficRecord,
    _days(7),
    "one request and, where known, its response, as sent; the only place with raw text",
    writers=frozenset({Who.APPLICATION, Who.ROUTER, Who.CURATE, Who.SIMULATE, Who.REPLAY, Who.DEAD_LETTERS}),
    consumers=frozenset({Who.CURATE}),
    readers=frozenset({Who.VERIFY, Who.TRACE, Who.ERASE, Who.DEAD_LETTERS, Who.DEMO}),
    max_bytes=RECORD_BYTES,
)
CURATED: Final = Topic(
    "curated",
    records.CuratedRecord,
    _days(90),
    "redacted, normalised, deduplicated, enriched record with its cluster; or a vote; or an anchor asked again",
    writers=frozenset({Who.CURATE, Who.DEAD_LETTERS}),
    consumers=frozenset({Who.LABEL}),
    readers=frozenset({Who.VERIFY, Who.TRACE, Who.ERASE, Who.DEAD_LETTERS, Who.DEMO}),
    rebuilds=frozenset({Who.CURATE}),
)
DISCARDED: Final = Topic(
    "discarded",
    records.DiscardedRecord,
    _days(14),
    "a record that ended early: duplicate of whom, filtered by which rule, why not labelled",
    writers=frozenset({Who.CURATE, Who.LABEL}),
    readers=frozenset({Who.DISPATCHER, Who.VERIFY, Who.TRACE, Who.GOLD, Who.DEMO}),
)
LABELS: Final = Topic(
    "labels",
    records.LabelRecord,
    _days(365),
    "curated record with its label, probabilities, cost, split and propensity; or an erasure, a correction, an anchor",
    writers=frozenset({Who.LABEL, Who.ERASE, Who.SUSPECTS}),
    consumers=frozenset({Who.WINDOW}),
    readers=frozenset(
        {
            Who.DISPATCHER,
            Who.VERIFY,
            Who.TRACE,
            Who.ERASE,
            Who.GOLD,
            Who.LABELS,
            Who.CEILING,
            Who.SUSPECTS,
            Who.DEAD_LETTERS,
            Who.DEMO,
        }
    ),
    rebuilds=frozenset({Who.LABEL, Who.WINDOW}),
)
DEAD_LETTERS: Final = Topic(
    "dead-letters",
    records.DeadLetter,
    _days(90),
    "what could not be processed: reason, origin, attempts and the redacted bytes",
    writers=frozenset({Who.CURATE, Who.LABEL, Who.WINDOW, Who.ROLLOUT, Who.SUSPECTS}),
    readers=frozenset({Who.DEAD_LETTERS, Who.VERIFY, Who.TRACE, Who.LABELS, Who.CEILING, Who.SUSPECTS, Who.DEMO}),
    rebuilds=frozenset({Who.LABEL}),
)
RETRAIN_REQUESTS: Final = Topic(
    "retrain-requests",
    events.RetrainRequest,
    _days(365),
    "threshold event: which trigger, its numbers, the snapshot and the job",
    writers=frozenset({Who.WINDOW}),
    consumers=frozenset({Who.DISPATCHER}),
    readers=frozenset({Who.TRIGGERS, Who.DEMO}),
    rebuilds=frozenset({Who.WINDOW}),
)
TRAINING_RUNS: Final = Topic(
    "training-runs",
    events.TrainingRun,
    _days(365),
    "the life of a job: queued, started, progress, succeeded, failed, cancelled",
    writers=frozenset({Who.DISPATCHER}),
    consumers=frozenset({Who.WINDOW}),
    readers=frozenset({Who.DEAD_LETTERS, Who.DEMO}),
    rebuilds=frozenset({Who.WINDOW, Who.DISPATCHER}),
)
MODEL_PROMOTION: Final = Topic(
    "model-promotion",
    promotion.ModelPromotion,
    None,
    "nomination with evidence: F1 with intervals, comparison, lineage, decision and reasons",
    writers=frozenset({Who.DISPATCHER}),
    consumers=frozenset({Who.ROLLOUT}),
    readers=frozenset({Who.DEAD_LETTERS, Who.DEMO, Who.OTHER_TEAMS}),
    rebuilds=frozenset({Who.DISPATCHER}),
    compatibility="FULL_TRANSITIVE",
)
ROLLOUT_STATUS: Final = Topic(
    "rollout-status",
    events.RolloutStatus,
    None,
    "every transition of a rollout and every override",
    writers=frozenset({Who.ROLLOUT}),
    readers=frozenset({Who.ROLLOUT_COMMAND, Who.DEMO, Who.OTHER_TEAMS}),
    compatibility="FULL_TRANSITIVE",
)
ROLLOUT_COMMANDS: Final = Topic(
    "rollout-commands",
    events.RolloutCommand,
    _days(365),
    "hold, resume, abort, promote, undo: who and why",
    writers=frozenset({Who.ROUTER, Who.ROLLOUT_COMMAND}),
    consumers=frozenset({Who.ROLLOUT}),
    readers=frozenset({Who.DEAD_LETTERS, Who.DEMO}),
)
MODEL_STATE: Final = Topic(
    "model-state",
    events.ModelState,
    None,
    "champion, challenger and weight of each model line",
    writers=frozenset({Who.ROLLOUT}),
    consumers=frozenset({Who.WINDOW}),
    readers=frozenset(
        {Who.ROUTER, Who.WORKER, Who.ROLLOUT_COMMAND, Who.ERASE, Who.DEAD_LETTERS, Who.DEMO, Who.OTHER_TEAMS}
    ),
    rebuilds=frozenset({Who.ROLLOUT, Who.WINDOW}),
    compacted=True,
    compatibility="FULL_TRANSITIVE",
)
OUTCOMES: Final = Topic(
    "outcomes",
    records.Outcome,
    _days(14),
    "what the router answered: assigned and served variant, label, latency",
    writers=frozenset({Who.ROUTER}),
    consumers=frozenset({Who.ROLLOUT}),
    readers=frozenset({Who.DEAD_LETTERS, Who.DEMO}),
    rebuilds=frozenset({Who.ROLLOUT}),
)
GOLD: Final = Topic(
    "gold",
    records.GoldLabel,
    None,
    "labels that people gave, by annotator: what the teacher is judged by",
    writers=frozenset({Who.GOLD, Who.ERASE}),
    readers=frozenset({Who.CURATE, Who.GOLD, Who.ERASE, Who.DEMO}),
)
CEILINGS: Final = Topic(
    "ceilings",
    records.Ceiling,
    None,
    "how often a teacher gives the same label twice: the most a student can agree with it",
    writers=frozenset({Who.CEILING}),
    readers=frozenset({Who.DISPATCHER, Who.GOLD, Who.LABELS, Who.CEILING, Who.SUSPECTS, Who.DEMO}),
    rebuilds=frozenset({Who.LABEL}),
)

CATALOGUE: Final[tuple[Topic, ...]] = (
    TRAFFIC, CURATED, DISCARDED, LABELS, DEAD_LETTERS, RETRAIN_REQUESTS, TRAINING_RUNS, MODEL_PROMOTION,
    ROLLOUT_STATUS, ROLLOUT_COMMANDS, MODEL_STATE, OUTCOMES, GOLD, CEILINGS,
)  # fmt: skip


def allowed(principal: Who, access: TopicAccess) -> tuple[Topic, ...]:
    """Return the topics to which a principal has an access."""
    return tuple(topic for topic in CATALOGUE if principal in topic.principals(access))


# What each consumer group reads. A group's offsets are committed before it first runs: it can never skip a record.
STAGES: Final[Mapping[Who, tuple[Topic, ...]]] = {
    principal: sources for principal in Who if (sources := allowed(principal, TopicAccess.CONSUME))
}
