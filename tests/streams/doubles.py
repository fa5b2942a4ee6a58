"""Messages, records and a reader in memory, for tests that drive a stage directly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas import topics
from schemas.codec import encode
from schemas.records import CuratedRecord, LabelRecord, Origin, Record
from schemas.rules.partition import partition_of
from schemas.rules.splits import split_of
from schemas.topics import Topic
from schemas.workload import Workload
from streams.core.stage import Message

NAME = "news"
PARTITION = partition_of(NAME, topics.PARTITIONS)
START = datetime(2026, 1, 1, tzinfo=UTC)


def workload(labels: Sequence[str] = ("earnings", "mergers", "other"), **tables: Any) -> Workload:
    """Return a workload; tables as the file has them."""
    return Workload.model_validate({"name": NAME, "labels": list(labels), "teacher": {"may_train": True}} | tables)


def message(topic: Topic, offset: int, record: Record | bytes, partition: int = PARTITION) -> Message:
    """Return a record as consumed."""
    value = record if isinstance(record, bytes) else encode(record)
    return Message(topic, partition, offset, NAME.encode(), value, (), START + timedelta(seconds=offset))


def curated(number: int, **fields: Any) -> CuratedRecord:
    """Return a curated record whose id, text and cluster follow from its number."""
    values: dict[str, Any] = {
        "record_id": f"record-{number}",
        "workload": NAME,
        "origin": Origin(topic="traffic", partition=PARTITION, offset=number),
        "event_time": START + timedelta(minutes=number),
        "arrival_time": START + timedelta(minutes=number),
        "text": f"Company {number} reports",
        "text_key": f"key-{number}",
        "cluster_id": f"record-{number}",
    } | fields
    return CuratedRecord(**values)


def label(number: int, said: str, of: Workload | None = None, **fields: Any) -> LabelRecord:
    """Return a label whose id, text and cluster follow from its number."""
    values: dict[str, Any] = {
        "record_id": f"record-{number}",
        "workload": NAME,
        "origin": Origin(topic="curated", partition=PARTITION, offset=number),
        "event_time": START + timedelta(minutes=number),
        "text": f"Company {number} reports",
        "cluster_id": f"record-{number}",
        "label": said,
    } | fields
    if "split" not in fields:
        values["split"] = split_of(NAME, values["cluster_id"], (of or workload()).splits)
    return LabelRecord(**values)


@dataclass
class MemoryReader:
    """Our topics in memory; what `streams.core.stage.Reader` asks for."""

    messages: Mapping[Topic, Sequence[Message]] = field(default_factory=dict)
    offsets: Mapping[Topic, int] = field(default_factory=dict)
    topic_ids: Mapping[Topic, str] = field(default_factory=dict)

    def read(self, topic: Topic, partition: int, start: int | None = None) -> Iterator[Message]:
        """Yield what is there from an offset on."""
        for one in self.messages.get(topic, ()):
            if one.partition == partition and one.offset >= (start or 0):
                yield one

    def topic_id(self, topic: Topic) -> str:
        """Return the topic's id."""
        return self.topic_ids.get(topic, f"id-of-{topic.name}")

    def committed(self, topic: Topic, partition: int) -> int:
        """Return where the stage goes on."""
        return self.offsets.get(topic, 0)
