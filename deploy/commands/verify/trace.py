"""`millrace trace RECORD_ID`, or `traffic/PARTITION/OFFSET`: one record's whole way through the topics, in order.

Where it stood in `traffic`, how it was sent on or replayed, how each stage ended it, and which snapshots hold it. It
never prints a text. It reads the topics from end to end, since no topic is ordered by record id. Exit code 1 where
nothing is found.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import KafkaException
from rich.console import Console
from rich.markup import escape

from deploy.commands.verify.books import RECORDS, STAGES, Marks, came_from, decoded
from deploy.commands.verify.topics import PrefixedTopics, Raw, TopicDecoder
from deploy.commands.verify.way import SeenOutput, Step, ending, in_order, origin_of, related, state_of
from deploy.edge.process.settings import Settings
from deploy.edge.stores.snapshots import HoldingSnapshot, holding
from deploy.edge.topics.command_clients import no_answer
from schemas.errors import BadInput
from schemas.principals import Principal
from schemas.rules.places import REKEYED_HEADER, TopicOffset, shown

_PLACE: Final = re.compile(r"traffic/(\d{1,9})/(\d{1,18})")
_RECORD_ID: Final = re.compile(r"[0-9a-zA-Z_.:-]{1,255}")


@dataclass
class RecordWay:
    """All that was found of a record."""

    steps: list[Step] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # places of the way that are no longer kept
    open: list[str] = field(default_factory=list)  # what has not ended
    snapshots: list[HoldingSnapshot] = field(default_factory=list)
    not_looked_at: str | None = None  # why no snapshot was
    kept: dict[str, str] = field(default_factory=dict)  # topic -> what it still keeps


class _TracedTopics:
    """The topics as they are now: read through once for what belongs together, then place by place."""

    def __init__(self, settings: Settings) -> None:
        self._cluster = PrefixedTopics(settings, Principal.TRACE)
        self._readers = {topic: TopicDecoder(kind, settings) for topic, kind in RECORDS.items()}
        self.committed = {source: self._cluster.committed(f"millrace-{stage}", source) for stage, source in STAGES}
        self._marks = {topic: self._cluster.marks(topic) for topic in ("traffic", *RECORDS)}
        self._oldest: dict[str, int] = {}
        self.passages: dict[TopicOffset, tuple[str, TopicOffset]] = {}
        self.outputs: list[SeenOutput] = []
        for raw in self._cluster.read("traffic", self._marks["traffic"]):
            self._take("traffic", raw)
        for topic, reader in self._readers.items():
            for raw, record in decoded(self._cluster, topic, reader, self._marks[topic]):
                place = self._take(topic, raw)
                self.outputs.append(SeenOutput(place, origin_of(record), record.get("record_id")))

    def at(self, place: TopicOffset) -> tuple[Raw, dict[str, Any]] | None:
        """Return what is at a place, where it is kept; of `traffic` the bytes only."""
        topic, partition, offset = place
        if topic not in self._marks:
            return None
        low, high = self._marks[topic].get(partition, (0, 0))
        marks: Marks = {partition: (offset, offset + 1)} if low <= offset < high else {}
        for raw in self._cluster.read(topic, marks):
            return raw, {} if topic == "traffic" or raw.value is None else self._readers[topic].decode(raw.value)
        return None

    def kept(self) -> dict[str, str]:
        """Return what each topic still keeps, in words."""
        return {topic: self._kept(topic, marks) for topic, marks in self._marks.items()}

    def _take(self, topic: str, raw: Raw) -> TopicOffset:
        place = (topic, raw.partition, raw.offset)
        self._oldest[topic] = min(raw.appended_ms, self._oldest.get(topic, raw.appended_ms))
        passage = came_from(raw)
        if passage is not None:
            self.passages[place] = (passage[0], (topic, *passage[1]))
        return place

    def _kept(self, topic: str, marks: Marks) -> str:
        offsets = sum(high - low for low, high in marks.values())
        return f"{offsets} offsets, since {_time(self._oldest[topic])}" if topic in self._oldest else "nothing"


def trace(settings: Settings, wanted: str) -> RecordWay:
    """Return the way of the record that an id or a place in `traffic` names.

    Raises:
        BadInput: it is neither.
        ContractError: a topic is missing, or holds what cannot be read.
        Unavailable: the cluster does not answer.
    """
    places, ids = _asked(wanted)
    try:
        return _way(settings, _TracedTopics(settings), places, ids)
    except KafkaException as error:
        raise no_answer(settings.bootstrap_servers, error.args[0]) from error


def _way(settings: Settings, topics: _TracedTopics, places: set[TopicOffset], ids: set[str]) -> RecordWay:
    came_from_ = {place: before for place, (_, before) in topics.passages.items()}
    places, ids = related(topics.outputs, came_from_, places, ids)
    found = {place: at for place in places if (at := topics.at(place)) is not None}
    way = RecordWay(kept=topics.kept())
    way.steps = in_order(_step(place, *at, topics.passages.get(place)) for place, at in found.items())
    way.gone = [shown(place) for place in sorted(places - found.keys()) if place[0] in way.kept]  # not an anchor's gold
    ended = {output.origin for output in topics.outputs}
    ended |= {before for name, before in topics.passages.values() if name == REKEYED_HEADER}
    way.open = state_of([place for place in found if place[0] in topics.committed], ended, topics.committed)
    workloads = {str(record["workload"]) for (topic, _, _), (_, record) in found.items() if topic == "labels"}
    if workloads:
        way.snapshots, way.not_looked_at = holding(settings, workloads, ids)
    return way


def _asked(wanted: str) -> tuple[set[TopicOffset], set[str]]:
    place = _PLACE.fullmatch(wanted)
    if place:
        return {("traffic", int(place[1]), int(place[2]))}, set()
    if _RECORD_ID.fullmatch(wanted):
        return set(), {wanted}
    raise BadInput("RECORD_ID", wanted, "give a record id, or a place such as traffic/3/17")


def _step(place: TopicOffset, raw: Raw, record: Mapping[str, Any], passage: tuple[str, TopicOffset] | None) -> Step:
    topic, partition, offset = place
    how = None
    if passage is not None:
        how = f"{'sent on' if passage[0] == REKEYED_HEADER else 'replayed'} from {shown(passage[1])}"
    if topic == "traffic":
        what, facts = how or "came in", dict[str, Any](bytes=len(raw.value or b""), headers=len(raw.headers))
    else:
        what, facts = ending(topic, record)
        what, facts = f"{what}, {how}" if how else what, {"origin": shown(origin_of(record))} | facts
    return Step(topic=topic, partition=partition, offset=offset, appended_ms=raw.appended_ms, what=what, facts=facts)


def _time(appended_ms: int) -> str:
    return datetime.fromtimestamp(appended_ms / 1000, UTC).isoformat(timespec="milliseconds")


def show(way: RecordWay, *, as_json: bool) -> None:
    """Print the steps of a way, or all of it as JSON; nothing where there is no step and no JSON is asked for."""
    if as_json:
        print(json.dumps(dataclasses.asdict(way), default=str))
    elif way.steps:
        _show(way)


def _show(way: RecordWay) -> None:
    console = Console(highlight=False)
    for step in way.steps:
        place = shown((step.topic, step.partition, step.offset))
        console.print(f"[bold]{_time(step.appended_ms)}  {place}[/]  {_printable(step.what)}")
        for name, value in step.facts.items():
            console.print(f"    {name}: {_printable(str(value))}")
    for held in way.snapshots:
        console.print(f"snapshot {_printable(held.snapshot_id)} of {_printable(held.workload)}: split {held.split}")
    if way.not_looked_at:
        console.print(f"snapshots were not looked at: {_printable(way.not_looked_at)}")
    for place in way.gone:
        console.print(f"{_printable(place)} is no longer kept")
    for line in way.open:
        console.print(_printable(line))


def _printable(text: str) -> str:
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))
