"""What the topics hold, gathered for the accounts: inputs, endings, the records that exist, and what retention took.

Nothing here is the worker's: the names of two headers are the contract's, everything else is read anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.commands.verify.accounts import Account, Ending, account
from deploy.commands.verify.repeats import Repeats
from deploy.commands.verify.topics import PrefixedTopics, Raw, TopicDecoder
from deploy.edge.process.settings import Settings
from schemas.rules.places import REKEYED_HEADER, REPLAYED_HEADER, PartitionOffset

STAGES: Final = (("curate", "traffic"), ("label", "curated"))
RECORDS: Final = {
    "curated": "CuratedRecord", "discarded": "DiscardedRecord", "labels": "LabelRecord", "dead-letters": "DeadLetter",
}  # fmt: skip
_ENDS: Final = {
    "curated": ("traffic",), "labels": ("curated",), "discarded": ("traffic", "curated"),
    "dead-letters": ("traffic", "curated"),
}  # fmt: skip

Marks = Mapping[int, tuple[int, int]]  # partition -> where it begins, and its read_uncommitted end


@dataclass
class Books:
    """All that the accounts are made of."""

    repeats: Repeats
    inputs: dict[str, dict[PartitionOffset, str | None]] = field(default_factory=lambda: {"traffic": {}, "curated": {}})
    endings: dict[str, list[Ending]] = field(default_factory=lambda: {"traffic": [], "curated": []})
    known: set[str] = field(default_factory=set)
    # by input topic and partition: since when (broker's clock, ms) every ending is kept, where retention took some
    kept_since: dict[str, dict[int, int]] = field(default_factory=lambda: {"traffic": {}, "curated": {}})


def accounts(settings: Settings, cluster: PrefixedTopics, workload: str | None) -> tuple[list[Account], set[str]]:
    """Return the accounts of both stages, and the workloads whose content could not be checked for repeats."""
    committed = {stage: cluster.committed(f"millrace-{stage}", source) for stage, source in STAGES}
    marks = {topic: cluster.marks(topic) for topic in ("traffic", *RECORDS)}
    books = Books(Repeats(_horizons(settings)))
    for topic in RECORDS:
        _read_outputs(books, cluster, topic, TopicDecoder(RECORDS[topic], settings), marks[topic])
    _read_traffic(books, cluster, marks["traffic"])
    found = [
        account(
            stage,
            inputs=books.inputs[source],
            endings=books.endings[source],
            committed=committed[stage],
            begins=_begins(cluster, source, marks[source], committed[stage], books.kept_since[source]),
            known=books.known,
            curtailed={partition for partition, (low, _) in marks["curated"].items() if low},
            workload=workload,
        )
        for stage, source in STAGES
    ]
    found[0].repeated = [(place, what) for name, place, what in books.repeats.found if workload in (None, name)]
    return found, books.repeats.unchecked if workload is None else books.repeats.unchecked & {workload}


def decoded(
    cluster: PrefixedTopics, topic: str, reader: TopicDecoder, marks: Marks
) -> Iterator[tuple[Raw, dict[str, Any]]]:
    """Yield the records of a topic that name their origin."""
    for raw in cluster.read(topic, marks):
        if raw.value is not None:
            record = reader.decode(raw.value)
            if "origin" in record:
                yield raw, record


def came_from(raw: Raw) -> tuple[str, PartitionOffset] | None:
    """Return how this copy of a record came about: the newest of our headers, and the place it names."""
    for name, value in reversed(raw.headers):
        place = re.fullmatch(rb"(\d+):(\d+)", value or b"")
        if name in (REKEYED_HEADER, REPLAYED_HEADER) and place:
            return name, (int(place[1]), int(place[2]))
    return None


def _read_outputs(books: Books, cluster: PrefixedTopics, topic: str, reader: TopicDecoder, marks: Marks) -> None:
    first: dict[int, int] = {}
    for raw, record in decoded(cluster, topic, reader, marks):
        first.setdefault(raw.partition, raw.appended_ms)
        origin = record["origin"]
        place = (origin["partition"], origin["offset"])
        if topic == "curated":
            books.inputs["curated"][raw.partition, raw.offset] = record["workload"]
            books.known.add(record["record_id"])
            passage = came_from(raw)
            if passage is not None and passage[0] == REPLAYED_HEADER:
                continue  # an input of the label stage once more, but no second ending of its traffic record
            if record["kind"] == "ANCHOR":
                continue  # a text of gold that is asked again: no ending of traffic, and no text taken for new
            vote = record["kind"] == "VOTE"
            books.repeats.look(record["workload"], place, record["record_id"], record["text_key"], vote=vote)
        if origin["topic"] in books.endings:  # a dead letter of the window or the rollout ends nothing that is counted
            books.endings[origin["topic"]].append(_ending(topic, place, record))
    for partition, (low, _) in marks.items():
        if low:
            since = first[partition] + 1 if partition in first else _emptied_before(cluster, topic)
            for source in _ENDS[topic]:
                books.kept_since[source][partition] = max(books.kept_since[source].get(partition, 0), since)


def _read_traffic(books: Books, cluster: PrefixedTopics, marks: Marks) -> None:
    inputs, endings = books.inputs["traffic"], books.endings["traffic"]
    for raw in cluster.read("traffic", marks):
        # The key is the workload's name where the producer set it; the endings know better where it did not.
        inputs[raw.partition, raw.offset] = raw.key.decode(errors="replace") if raw.key else None
        passage = came_from(raw)
        if passage is not None and passage[0] == REKEYED_HEADER:
            endings.append(Ending("re-keyed", passage[1], None))
    for ending in endings:
        if ending.workload and ending.origin in inputs:
            inputs[ending.origin] = ending.workload


def _ending(topic: str, origin: PartitionOffset, record: Mapping[str, Any]) -> Ending:
    return Ending(topic, origin, record.get("workload"), record.get("record_id"), record.get("duplicate_of"))


def _horizons(settings: Settings) -> dict[str, int]:
    """Return each workload's duplicate horizon; none where this machine has no workload files."""
    if not any(settings.workloads_dir.glob("*.toml")):
        return {}
    return {name: workload.duplicates.horizon for name, workload in settings.workloads().items()}


def _emptied_before(cluster: PrefixedTopics, topic: str) -> int:
    """Return until when (ms) the records of a partition that holds none any more were written, at the latest."""
    retention_ms = cluster.retention_ms(topic)
    now = int(time.time() * 1000)
    return now if retention_ms is None else now - retention_ms


def _begins(
    cluster: PrefixedTopics, source: str, marks: Marks, committed: Mapping[int, int], kept_since: Mapping[int, int]
) -> dict[int, int]:
    """Return from where a topic's records can be counted: an ending older than what is kept would seem missing.

    What is not settled yet has no ending that could be gone, so it is always counted.
    """
    begins = {partition: low for partition, (low, _) in marks.items()}
    for partition, appended_ms in kept_since.items():
        low, high = marks[partition]
        at = cluster.offset_at(source, partition, appended_ms)
        begins[partition] = max(low, min(high if at is None else at, committed.get(partition, 0)))
    return begins
