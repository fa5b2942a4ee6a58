"""The way of one record through the topics, put together from what names it. Pure.

A record is in `traffic` at one place, or at several where it was sent on or replayed, and ends at each; what is in
`curated` ends once more in the label stage. Nothing here holds a text: neither the raw one nor the redacted one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.rules.places import TopicOffset, shown


@dataclass(frozen=True, kw_only=True)
class Step:
    """One record that is part of the way."""

    topic: str
    partition: int
    offset: int
    appended_ms: int
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeenOutput:
    """What is remembered of every output while the topics are read: enough to know whether it is part of the way."""

    place: TopicOffset
    origin: TopicOffset
    record_id: str | None


def related(
    outputs: Sequence[SeenOutput], came_from: Mapping[TopicOffset, TopicOffset], places: set[TopicOffset], ids: set[str]
) -> tuple[set[TopicOffset], set[str]]:
    """Return the places of the way and the ids on it, from places or ids of the record.

    `came_from`: what was written again, by re-keying or by replay, and from where.
    """
    onward: dict[TopicOffset, list[TopicOffset]] = {}
    for place, before in came_from.items():
        onward.setdefault(before, []).append(place)
    places, ids, size = set(places), set(ids), -1
    while size != len(places) + len(ids):
        size = len(places) + len(ids)
        for place in list(places):
            places.update(onward.get(place, ()), [came_from[place]] if place in came_from else ())
        for output in outputs:
            if output.record_id in ids or output.origin in places:
                places |= {output.place, output.origin}
                ids |= {output.record_id} if output.record_id else set()
    return places, ids


def origin_of(record: Mapping[str, Any]) -> TopicOffset:
    """Return the place of the input that an output ends."""
    origin = record["origin"]
    return origin["topic"], origin["partition"], origin["offset"]


def ending(topic: str, record: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what an output says became of its origin, and the facts that belong to it."""
    names: Collection[str] = ()
    if topic == "curated":
        what = {"ANCHOR": "an anchor, to be asked again"}.get(record["kind"], "curated")
        what = f"a vote on {record['duplicate_of']}" if record["kind"] == "VOTE" else what
        names = ("cluster_id", "event_time", "words", "redactions", "answered_by", "model", "audit", "propensity")
    elif topic == "discarded":
        of = f" of {record['duplicate_of']}" if record["duplicate_of"] else ""
        what = f"discarded by {record['stage'].lower()}: {record['reason'].lower()}{of}"
        names = ("rule", "detail", "cluster_id")
    elif topic == "labels" and record["kind"] == "ERASURE":
        what = "erased"
    elif topic == "labels" and record["kind"] == "CORRECTION":
        what = f"asked again: {record['label']}"
        names = ("teacher_model", "teacher_calls", "class_probabilities")
    elif topic == "labels":
        what = f"labelled {record['label']} by {record['provenance'].lower()}, split {record['split'].lower()}"
        names = ("kind", "teacher_model", "teacher_calls", "class_probabilities", "cluster_id", "audit", "propensity")
    else:
        what = f"dead letter of {record['stage']}: {record['reason']}"
        names = ("detail", "attempts", "payload_bytes", "code_version")
    given = {name: record.get(name) for name in names if record.get(name) not in (None, "", {}, False)}
    return what, {"record_id": record.get("record_id"), "workload": record.get("workload")} | given


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Return the steps in the order they were written; of equals, the order of the flow."""
    flow = ("traffic", "curated", "discarded", "labels", "dead-letters")
    return sorted(steps, key=lambda step: (step.appended_ms, flow.index(step.topic), step.partition, step.offset))


def state_of(
    places: Collection[TopicOffset], ended: Collection[TopicOffset], committed: Mapping[str, Mapping[int, int]]
) -> list[str]:
    """Return what is open: inputs that are still on their way, and inputs that were settled without an ending.

    `ended`: inputs that an output or a re-keying names; `committed`: by input topic and partition, its stage's offset.
    """
    found = []
    for place in sorted(set(places) - set(ended)):
        if place[2] >= committed[place[0]].get(place[1], 0):
            found.append(f"{shown(place)} is in flight: its stage has not come to it yet")
        else:
            found.append(f"{shown(place)} was settled, and no ending of it is kept; see `millrace verify`")
    return found
