"""The catalogue of topics: name, record, kept for how long, who writes and who reads.

Every topic is keyed by the workload's name and has the same number of partitions, so that whatever concerns one
workload meets in one worker. All topics use LogAppendTime: event time lives in the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from schemas import events, records

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
    writers: str
    readers: str
    purpose: str
    compacted: bool = False
    compatibility: Compatibility = "BACKWARD_TRANSITIVE"
    max_bytes: int = OUTPUT_BYTES

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
    "traffic", records.TrafficRecord, _days(7), "applications, router, replay", "curate",
    "one request and, where known, its response, as sent; the only place with raw text", max_bytes=RECORD_BYTES,
)  # fmt: skip
CURATED: Final = Topic(
    "curated", records.CuratedRecord, _days(90), "curate", "label",
    "redacted, normalised, deduplicated, enriched record with its cluster; or a vote; or an anchor asked again",
)  # fmt: skip
DISCARDED: Final = Topic(
    "discarded", records.DiscardedRecord, _days(14), "curate, label", "people, verify",
    "a record that ended early: duplicate of whom, filtered by which rule, why not labelled",
)  # fmt: skip
LABELS: Final = Topic(
    "labels", records.LabelRecord, _days(365), "label, people", "label, window, dispatcher, people",
    "curated record with its label, probabilities, cost, split and propensity; or an erasure, a correction, an anchor",
)  # fmt: skip
DEAD_LETTERS: Final = Topic(
    "dead-letters", records.DeadLetter, _days(90), "curate, label", "people, verify",
    "what could not be processed: reason, origin, attempts and the redacted bytes",
)  # fmt: skip
RETRAIN_REQUESTS: Final = Topic(
    "retrain-requests", events.RetrainRequest, _days(365), "window", "dispatcher",
    "threshold event: which trigger, its numbers, the snapshot and the job",
)  # fmt: skip
TRAINING_RUNS: Final = Topic(
    "training-runs", events.TrainingRun, _days(365), "dispatcher", "window",
    "the life of a job: queued, started, progress, succeeded, failed, cancelled",
)  # fmt: skip
MODEL_PROMOTION: Final = Topic(
    "model-promotion", events.ModelPromotion, None, "dispatcher", "controller, other teams",
    "nomination with evidence: F1 with intervals, comparison, lineage, decision and reasons",
    compatibility="FULL_TRANSITIVE",
)  # fmt: skip
ROLLOUT_STATUS: Final = Topic(
    "rollout-status", events.RolloutStatus, None, "controller", "people, other teams",
    "every transition of a rollout and every override", compatibility="FULL_TRANSITIVE",
)  # fmt: skip
ROLLOUT_COMMANDS: Final = Topic(
    "rollout-commands", events.RolloutCommand, _days(365), "people, router", "controller",
    "hold, resume, abort, promote, undo: who and why",
)  # fmt: skip
MODEL_STATE: Final = Topic(
    "model-state", events.ModelState, None, "controller", "router, window, other teams",
    "champion, challenger and weight of each model line", compacted=True, compatibility="FULL_TRANSITIVE",
)  # fmt: skip
OUTCOMES: Final = Topic(
    "outcomes", records.Outcome, _days(14), "router", "controller",
    "what the router answered: assigned and served variant, label, latency",
)  # fmt: skip
GOLD: Final = Topic(
    "gold", records.GoldLabel, None, "people", "people, curate",
    "labels that people gave, by annotator: what the teacher is judged by",
)  # fmt: skip
CEILINGS: Final = Topic(
    "ceilings", records.Ceiling, None, "people", "label, dispatcher, people",
    "how often a teacher gives the same label twice: the most a student can agree with it",
)  # fmt: skip

CATALOGUE: Final[tuple[Topic, ...]] = (
    TRAFFIC, CURATED, DISCARDED, LABELS, DEAD_LETTERS, RETRAIN_REQUESTS, TRAINING_RUNS, MODEL_PROMOTION,
    ROLLOUT_STATUS, ROLLOUT_COMMANDS, MODEL_STATE, OUTCOMES, GOLD, CEILINGS,
)  # fmt: skip

# What each consumer group reads. A group's offsets are committed before it first runs: it can never skip a record.
STAGES: Final[Mapping[str, tuple[Topic, ...]]] = {
    "curate": (TRAFFIC,),
    "label": (CURATED,),
    "window": (LABELS, TRAINING_RUNS, MODEL_STATE),
    "rollout": (MODEL_PROMOTION, OUTCOMES, ROLLOUT_COMMANDS),
    "dispatcher": (RETRAIN_REQUESTS,),
}
