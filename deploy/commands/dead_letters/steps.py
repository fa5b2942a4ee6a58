"""The steps of `millrace dead-letters list|show|replay`."""

from __future__ import annotations

import heapq
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from deploy.commands.dead_letters import replay, show
from deploy.commands.dead_letters.letters import Filter, Letter, place_of, time_of
from deploy.commands.dead_letters.log import Log
from deploy.commands.dead_letters.plan import ReplayPlan, origin_of, plan
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from schemas.errors import BadInput, Unavailable
from schemas.rules.places import shown


def print_list(settings: Settings, filters: Mapping[str, Any], limit: int, *, as_json: bool) -> None:
    """Print the newest matching letters, oldest first, and how many there are by reason."""
    wanted, log = _filter(**filters), Log(settings)
    reasons = Counter[str]()

    def counted() -> Iterator[Letter]:
        for letter in filter(wanted.takes, log.letters()):
            reasons[letter.record.reason] += 1
            yield letter

    newest = heapq.nlargest(limit, counted(), key=lambda letter: letter.age)[::-1]
    if as_json:
        for letter in newest:
            print(show.line(letter))
    else:
        show.table(newest, reasons)


def print_one(settings: Settings, place: str) -> None:
    """Print all of one letter, and what is kept of its record."""
    log = Log(settings)
    letter = log.letter(place_of(place))
    show.whole(letter, replay.look(log, [letter])[origin_of(letter)], Framing(settings))


def replay_letters(
    settings: Settings,
    places: Sequence[str],
    filters: Mapping[str, Any],
    limit: int | None,
    *,
    again: bool,
    dry_run: bool,
    yes: bool,
) -> bool:
    """Replay the letters that places or filters name, after confirmation; return whether none was left out."""
    log = Log(settings)
    letters = _meant(log, places, filters, limit)
    replays = None if dry_run or not letters else replay.Replays(settings)
    found = plan(letters, replay.look(log, letters), again=again)
    _print(found)
    if replays is None or not found.ready:
        return not found.refused
    if not yes:
        click.confirm(f"replay {len(found.ready)} records?", abort=True)
    return _sent(replays, log, found.ready) and not found.refused


def _filter(
    reason: Sequence[str], stage: str | None, workload: str | None, since: str | None, until: str | None
) -> Filter:
    now = datetime.now(UTC)
    return Filter(
        reasons=frozenset(reason),
        stage=stage,
        workload=workload,
        since=time_of("--since", since, now),
        until=time_of("--until", until, now),
    )


def _meant(log: Log, places: Sequence[str], filters: Mapping[str, Any], limit: int | None) -> list[Letter]:
    """Return the letters that arguments or filters name, oldest first."""
    if places and (limit or any(filters.values())):
        raise BadInput("PARTITION:OFFSET", " ".join(places), "name letters, or filter them, not both")
    if places:
        letters = [log.letter(place) for place in dict.fromkeys(map(place_of, places))]
    else:
        letters = [letter.without_payload() for letter in filter(_filter(**filters).takes, log.letters())]
    return sorted(letters, key=lambda letter: letter.age)[:limit]


def _print(found: ReplayPlan) -> None:
    for letter, why in found.refused:
        print(f"{_name(letter)}: not replayed: {why}")
    by_topic = Counter(origin_of(letter)[0] for letter in found.ready)
    ready = ", ".join(f"{count} to {topic}" for topic, count in sorted(by_topic.items())) or "none"
    print(f"can be replayed: {ready}; cannot: {len(found.refused)}")


def _sent(replays: replay.Replays, log: Log, letters: Sequence[Letter]) -> bool:
    """Send, print what went where, and return whether everything was replayed."""
    done = Counter[str]()
    try:
        for letter, place in replays.send(log, letters):
            if place is None:
                print(f"{_name(letter)}: not replayed: its origin {shown(origin_of(letter))} was deleted meanwhile")
            else:
                print(f"{_name(letter)}: {shown(origin_of(letter))} is replayed to {shown(place)}")
                done[place[0]] += 1
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
    print("replayed: " + (", ".join(f"{count} to {topic}" for topic, count in sorted(done.items())) or "none"))
    return done.total() == len(letters)


def _name(letter: Letter) -> str:
    return f"letter {letter.place[0]}:{letter.place[1]}"
