"""Which letters can be replayed, and what prevents the replay of others. Pure.

The origin of a curate letter is in `traffic`, of a label letter in `curated`; both stages accept a record that comes
again. Other origins (labels, runs, model states, outcomes) are read back by their stage whenever a partition is
assigned: a second copy would count twice, so those letters are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from deploy.commands.dead_letters.letters import Letter
from schemas.rules.places import PartitionOffset, TopicOffset, shown
from schemas.topics import CATALOGUE, CURATED, TRAFFIC, Topic

REPLAYED: Final[Mapping[str, Topic]] = {topic.name: topic for topic in (TRAFFIC, CURATED)}
TOPICS: Final[Mapping[str, Topic]] = {topic.name: topic for topic in CATALOGUE}


@dataclass(frozen=True, slots=True)
class OriginState:
    """What is kept of a letter's origin: the record itself, and the places of its replays."""

    record_bytes: int | None  # in a replay; None: the record is gone
    replays: tuple[PartitionOffset, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What a replay would do."""

    ready: list[Letter] = field(default_factory=list)
    refused: list[tuple[Letter, str]] = field(default_factory=list)  # and why


def origin_of(letter: Letter) -> TopicOffset:
    """Return the place of a letter's record."""
    origin = letter.record.origin
    return origin.topic, origin.partition, origin.offset


def plan(letters: Iterable[Letter], states: Mapping[TopicOffset, OriginState], *, again: bool) -> ReplayPlan:
    """Separate the letters that can be replayed from those that cannot.

    `again`: whether a record of `traffic` that was replayed before may be replayed once more.
    """
    found, taken = ReplayPlan(), set[TopicOffset]()
    for letter in letters:
        origin = origin_of(letter)
        why = "another letter of the same record is replayed" if origin in taken else None
        why = why or obstacle(origin, states[origin], again=again)
        if why is None:
            taken.add(origin)
            found.ready.append(letter)
        else:
            found.refused.append((letter, why))
    return found


def obstacle(origin: TopicOffset, state: OriginState, *, again: bool) -> str | None:
    """Return why an origin cannot be replayed, or None."""
    topic = REPLAYED.get(origin[0])
    if topic is None:
        return f"a second copy of a record of {origin[0]} would count twice; see `millrace dead-letters replay --help`"
    if state.record_bytes is None:
        return f"its origin {shown(origin)} is gone: the topic no longer keeps it"
    if state.record_bytes > topic.max_bytes:
        return f"with the replay's header it has {state.record_bytes} bytes; {topic.name} takes {topic.max_bytes}"
    if not state.replays:
        return None
    before = f"it was replayed before, to {shown((origin[0], *state.replays[-1]))}"
    if topic is CURATED:
        return f"{before}: a second label would count twice; if that one failed too, replay its own letter"
    return None if again else f"{before}; --again replays it once more"
