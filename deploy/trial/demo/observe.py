"""Follows the topics as any other team could, and tallies what it sees; the demo's screen and summary use nothing else.

One thread, no consumer group, read_committed, from the first offset. It never reads the worker's state or files.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.framing import Framing
from schemas import topics
from schemas.events import ModelState, RetrainRequest, RolloutStatus, TrainingRun
from schemas.principals import Principal, TopicAccess
from schemas.promotion import ModelPromotion
from schemas.records import (
    CuratedKind,
    CuratedRecord,
    DeadLetter,
    DiscardedRecord,
    LabelKind,
    LabelRecord,
    Outcome,
    Record,
)

_BATCH: Final = 2_000


@dataclass
class TopicTally:
    """What has been seen so far. Written by the observer's thread alone."""

    records: Counter[str] = field(default_factory=Counter)  # topic -> records
    discarded: Counter[str] = field(default_factory=Counter)  # reason -> records
    duplicates: set[str] = field(default_factory=set)  # record_ids that were found to be repetitions
    dead: Counter[str] = field(default_factory=Counter)  # reason -> records
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)  # (stage, how) -> records that went no further
    classes: Counter[str] = field(default_factory=Counter)  # label -> labels
    provenance: Counter[str] = field(default_factory=Counter)
    teacher_calls: int = 0
    teacher_tokens: int = 0
    requests: list[RetrainRequest] = field(default_factory=list)
    runs: list[TrainingRun] = field(default_factory=list)
    promotions: list[ModelPromotion] = field(default_factory=list)
    statuses: list[RolloutStatus] = field(default_factory=list)
    state: ModelState | None = None
    assigned: Counter[str] = field(default_factory=Counter)  # "mode assigned served" -> requests
    unasked: Counter[str] = field(default_factory=Counter)  # served version -> requests the teacher never saw

    def outcomes(self, stage: str) -> dict[str, int]:
        """Return how records ended in a stage, by reason."""
        return {how: count for (where, how), count in self.ended.items() if where == stage}


def _add_curated(tally: TopicTally, record: CuratedRecord) -> None:
    if record.kind is CuratedKind.VOTE:
        tally.duplicates.add(record.record_id)


def _add_discarded(tally: TopicTally, record: DiscardedRecord) -> None:
    tally.discarded[record.reason] += 1
    tally.ended[record.stage.lower(), record.reason.lower()] += 1
    if record.duplicate_of is not None:
        tally.duplicates.add(record.record_id)


def _add_dead(tally: TopicTally, record: DeadLetter) -> None:
    tally.dead[record.reason] += 1
    tally.ended[record.stage, "dead letters"] += 1


def _add_label(tally: TopicTally, record: LabelRecord) -> None:
    if record.kind is LabelKind.LABEL:
        tally.classes[record.label] += 1
    if record.kind in (LabelKind.LABEL, LabelKind.VOTE):  # the others label no further record; their calls are calls
        tally.provenance[record.provenance] += 1
    tally.teacher_calls += record.teacher_calls
    tally.teacher_tokens += record.prompt_tokens + record.completion_tokens


def _add_outcome(tally: TopicTally, record: Outcome) -> None:
    tally.assigned[f"{record.mode} {record.assigned} {record.served}"] += 1
    if record.teacher_label is None:
        tally.unasked[record.served_version] += 1


def _set_state(tally: TopicTally, record: ModelState) -> None:
    known = tally.state
    if known is None or (record.epoch, record.sequence) > (known.epoch, known.sequence):
        tally.state = record


_FOLLOWED: Final[dict[topics.Topic, Callable[[TopicTally, Any], None]]] = {
    topics.CURATED: _add_curated,
    topics.DISCARDED: _add_discarded,
    topics.DEAD_LETTERS: _add_dead,
    topics.LABELS: _add_label,
    topics.RETRAIN_REQUESTS: lambda tally, record: tally.requests.append(record),
    topics.TRAINING_RUNS: lambda tally, record: tally.runs.append(record),
    topics.MODEL_PROMOTION: lambda tally, record: tally.promotions.append(record),
    topics.ROLLOUT_STATUS: lambda tally, record: tally.statuses.append(record),
    topics.MODEL_STATE: _set_state,
    topics.OUTCOMES: _add_outcome,
}


class Observer:
    """A thread that keeps a `Tally` true."""

    def __init__(self, settings: Settings) -> None:
        self.tally = TopicTally()
        self.changed = threading.Condition()
        self._stopping = threading.Event()
        names = TopicNames(settings, Principal.DEMO, TopicAccess.READ)
        self._topics = {names[topic]: topic for topic in topics.CATALOGUE}
        self._settings, self._framing = settings, Framing(settings)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin at the first offset of every topic.

        Raises:
            Unavailable: the cluster does not answer.
        """
        consumer = command_clients.consumer(self._settings, Principal.DEMO)
        numbers = range(topics.PARTITIONS)
        consumer.assign([TopicPartition(name, n, OFFSET_BEGINNING) for name in self._topics for n in numbers])
        self._thread = threading.Thread(target=self._follow, args=(consumer,), name="observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the tally stays."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)

    def wait_for(self, condition: Callable[[TopicTally], bool], seconds: float) -> bool:
        """Wait until the condition holds of the tally, at most so long; return whether it does."""
        with self.changed:
            return self.changed.wait_for(lambda: condition(self.tally), seconds)

    def _follow(self, consumer: Consumer) -> None:
        while not self._stopping.is_set():
            messages = [message for message in consumer.consume(_BATCH, 0.2) if not message.error()]
            if not messages:
                continue
            with self.changed:
                for message in messages:
                    self._see(message)
                self.changed.notify_all()
        consumer.close()

    def _see(self, message: Any) -> None:
        topic = self._topics[message.topic()]
        self.tally.records[topic.name] += 1
        add = _FOLLOWED.get(topic)
        if add is not None and message.value() is not None:
            record: Record = self._framing.decode(topic.record, message.value())
            add(self.tally, record)
