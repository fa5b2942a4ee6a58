"""Erasure on the topics: erasure records on `labels`, and `gold` written again without the erased texts.

`gold` is kept for ever, so a record that says "erased" would leave the text where it is. Steps, in this order:

  1 whoever else writes to `gold` is fenced off: `millrace gold add` in the middle of a file adds nothing
  2 the partition is read to its end
  3 what remains is written once more, in one transaction
  4 the broker deletes everything below it

After a kill between 3 and 4 what remains is there twice, which changes nothing (an annotator's last label of a text
counts), and the next erasure goes through all four steps again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from deploy.commands.erase.subject import PlacedLabel, erasure
from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames, group_name
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_partition
from deploy.edge.topics.writing import transaction
from schemas.errors import RecordRejected, Unavailable
from schemas.events import ModelState
from schemas.principals import Principal, TopicAccess
from schemas.records import GoldLabel, LabelRecord, Record
from schemas.topics import CURATED, GOLD, LABELS, MODEL_STATE, TRAFFIC, Topic

_SECONDS: Final = 30.0

R = TypeVar("R", bound=Record)


class ErasureTopics:
    """The topics of one prefix."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._framing = settings, Framing(settings)
        self._framing.register([LABELS])
        self._read_names = TopicNames(settings, Principal.ERASE, TopicAccess.READ)
        self._written_names = TopicNames(settings, Principal.ERASE, TopicAccess.WRITE)
        self._admin = command_clients.admin(settings)  # kept: its answers come only while it lives

    def labels(self, partition: int) -> Iterator[PlacedLabel]:
        """Yield the records of a partition of `labels`, in offset order.

        Raises:
            ContractError: the topic is missing.
            Unavailable: the cluster does not answer.
        """
        for raw in self._read(LABELS, partition):
            record = self._decoded(LabelRecord, raw)
            if record is not None:
                yield PlacedLabel(partition, raw.offset(), record)

    def erase(self, found: Collection[PlacedLabel]) -> None:
        """Write an erasure for each of these labels, all or none.

        Raises:
            Unavailable: the cluster did not take them; nothing is erased.
        """
        with transaction(self._settings, Principal.ERASE) as write:
            for placed in found:
                record = erasure(placed)
                value = self._framing.encode(LABELS, record)
                write(LABELS, placed.partition, record.workload.encode(), value, ())

    def erase_gold(self, partition: int, workload: str, text_keys: Collection[str]) -> int:
        """Take the human labels of these texts out of `gold` for good; return how many they were.

        Raises:
            ContractError: the topic is missing.
            Unavailable: the cluster did not take it; the next erasure removes what is left.
        """
        with transaction(self._settings, Principal.ERASE, fencing=Principal.GOLD) as write:
            remaining: dict[tuple[Any, ...], None] = {}
            gone = end = 0
            for raw in self._read(GOLD, partition):
                end = raw.offset() + 1
                gold = self._decoded(GoldLabel, raw)
                if gold is not None and gold.workload == workload and gold.text_key in text_keys:
                    gone += 1
                else:
                    remaining[raw.key(), raw.value(), tuple(raw.headers() or ())] = None
            offsets = [write(GOLD, partition, *one) for one in remaining] if gone else []
        if gone:
            self._delete_below(GOLD, partition, min((offset() for offset in offsets), default=end))
        return gone

    def in_production(self, partition: int, workload: str) -> dict[str, str]:
        """Return the roles of model versions, champion and challenger, by the last state of the workload's line.

        Raises:
            ContractError: the topic is missing.
            Unavailable: the cluster does not answer.
        """
        last: ModelState | None = None
        for raw in self._read(MODEL_STATE, partition):
            state = self._decoded(ModelState, raw)
            if state is not None and state.workload == workload:
                last = max(last or state, state, key=lambda one: (one.epoch, one.sequence))
        served = {"champion": last.champion, "challenger": last.challenger} if last else {}
        return {model.version: role for role, model in served.items() if model is not None}

    def on_their_way(self, partition: int) -> int:
        """Return how many records of a partition have not come through curate and label yet.

        Raises:
            ContractError: a topic is missing.
            Unavailable: the cluster does not answer.
        """
        waiting = 0
        for stage, topic in (("curate", TRAFFIC), ("label", CURATED)):
            start = self._committed(stage, topic, partition)
            waiting += sum(1 for _ in read_partition(self._settings, Principal.ERASE, topic, partition, start))
        return waiting

    def _committed(self, stage: str, topic: Topic, partition: int) -> int:
        group = group_name(self._settings, stage)
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(self._read_names[topic], partition)])
        try:
            answers = self._admin.list_consumer_group_offsets([asked], request_timeout=_SECONDS)
            answer = answers[group].result(2 * _SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise self._unavailable(error) from error
        return max(0, int(answer.topic_partitions[0].offset))

    def _delete_below(self, topic: Topic, partition: int, offset: int) -> None:
        place = TopicPartition(self._written_names[topic], partition, offset)
        try:
            self._admin.delete_records([place], request_timeout=_SECONDS)[place].result(2 * _SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise self._unavailable(error) from error

    def _read(self, topic: Topic, partition: int) -> Iterator[Any]:
        return read_partition(self._settings, Principal.ERASE, topic, partition)

    def _decoded(self, kind: type[R], raw: Any) -> R | None:
        """Return the record; None if it is of another kind: it holds no person's data, and must not block one."""
        try:
            return self._framing.decode(kind, raw.value() or b"")
        except RecordRejected:
            return None

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(f"no answer from {self._settings.bootstrap_servers}: {error}; run the command again")
