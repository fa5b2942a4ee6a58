"""Which letters can be replayed, and what is in the way of the others. Pure.

A letter of the curate stage stands for a record in `traffic`, one of the label stage for a record in `curated`; both
stages take a record that comes again. What else there are letters of (labels, runs, model states, outcomes) is read
back by its stage whenever a partition is assigned: a second copy would count twice, so those are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from deploy.commands.dead_letters.letters import Letter
from schemas.rules.places import PartitionOffset, TopicOffset
from schemas.topics import CATALOGUE, CURATED, TRAFFIC, Topic

REPLAYED: Final[Mapping[str, Topic]] = {topic.name: topic for topic in (TRAFFIC, CURATED)}
TOPICS: Final[Mapping[str, Topic]] = {topic.name: topic for topic in CATALOGUE}


@dataclass(frozen=True, slots=True)
class OriginState:
    """What is kept of a letter's origin: the record itself, and where replays of it stand."""

    record_bytes: int | None  # as a replay would have it; None: the record is gone
    replays: tuple[PartitionOffset, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What a replay comes to."""

    ready: list[Letter] = field(default_factory=list)
    refused: list[tuple[Letter, str]] = field(default_factory=list)  # and what is in the way


def origin_of(letter: Letter) -> TopicOffset:
    """Return where the record of a letter stood."""
    origin = letter.record.origin
    return origin.topic, origin.partition, origin.offset


def shown(place: TopicOffset) -> str:
    """Return a place as people read it."""
    return f"{place[0]}/{place[1]} at offset {place[2]}"


def plan(letters: Iterable[Letter], standing: Mapping[TopicOffset, OriginState], *, again: bool) -> ReplayPlan:
    """Tell the letters that can be replayed from those that cannot.

    Args:
        letters: those that are meant.
        standing: of each of their origins.
        again: whether a record of `traffic` that was replayed before may be replayed once more.
    """
    found, taken = ReplayPlan(), set[TopicOffset]()
    for letter in letters:
        origin = origin_of(letter)
        why = "another letter of the same record is replayed" if origin in taken else None
        why = why or obstacle(origin, standing[origin], again=again)
        if why is None:
            taken.add(origin)
            found.ready.append(letter)
        else:
            found.refused.append((letter, why))
    return found


def obstacle(origin: TopicOffset, standing: OriginState, *, again: bool) -> str | None:
    """Return what is in the way of a replay, or None."""
    topic = REPLAYED.get(origin[0])
    if topic is None:
        return f"a second copy of a record of {origin[0]} would count twice; see `millrace dead-letters replay --help`"
    if standing.record_bytes is None:
        return f"its origin {shown(origin)} is gone: the topic no longer keeps it"
    if standing.record_bytes > topic.max_bytes:
        return f"with the replay's header it has {standing.record_bytes} bytes; {topic.name} takes {topic.max_bytes}"
    if not standing.replays:
        return None
    before = f"it was replayed before, to {shown((origin[0], *standing.replays[-1]))}"
    if topic is CURATED:
        return f"{before}: a second label would count twice; if that one failed too, replay its own letter"
    return None if again else f"{before}; --again replays it once more"
