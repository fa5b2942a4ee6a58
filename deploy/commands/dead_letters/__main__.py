"""`millrace dead-letters list|show|replay`: what could not be processed, why, and once more.

Exit codes: 0 done, 1 something could not be replayed, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import heapq
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from deploy.commands.dead_letters import replay, show
from deploy.commands.dead_letters.letters import Filter, Letter, place_of, time_of
from deploy.commands.dead_letters.log import Log
from deploy.commands.dead_letters.plan import ReplayPlan, origin_of, plan, shown
from deploy.edge.process.command import told_in_one_line
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from schemas.errors import BadInput, DeadLetterReason, Unavailable
from schemas.topics import STAGES

F = TypeVar("F", bound=Callable[..., Any])

_REASONS: Final = [reason.value for reason in DeadLetterReason]
_FILTERS: Final = (
    click.option("--reason", multiple=True, type=click.Choice(_REASONS), help="Can be given several times."),
    click.option("--stage", type=click.Choice([*STAGES]), help="The stage that wrote the letter."),
    click.option("--workload", help="Letters of this workload."),
    click.option("--since", help="An ISO 8601 time (UTC), or an age such as 90s, 30m, 2h, 7d; by the broker's clock."),
    click.option("--until", help="As --since; that moment itself is left out."),
)
SERVERS: Final = click.option("--bootstrap-servers", help="The cluster.  [default: MILLRACE_BOOTSTRAP_SERVERS]")


def _filtered(command: F) -> F:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def _filter(
    reason: Sequence[str], stage: str | None, workload: str | None, since: str | None, until: str | None
) -> Filter:
    now = datetime.now(UTC)
    return Filter(
        reasons=frozenset(reason), stage=stage, workload=workload, since=time_of("--since", since, now),
        until=time_of("--until", until, now),
    )  # fmt: skip


@click.group()
def main() -> None:
    """See what could not be processed and why, and send it on its way again."""


@main.command("list")
@_filtered
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a letter.")
@SERVERS
@told_in_one_line
def list_command(limit: int, as_json: bool, bootstrap_servers: str | None, **filters: Any) -> None:
    """Show dead letters, oldest first, and how many there are by reason."""
    wanted, log = _filter(**filters), Log(Settings.load(bootstrap_servers=bootstrap_servers))
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


@main.command("show")
@click.argument("place", metavar="PARTITION:OFFSET")
@SERVERS
@told_in_one_line
def show_command(place: str, bootstrap_servers: str | None) -> None:
    """Show all of one letter, and what stands of the record it is of."""
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    log = Log(settings)
    letter = log.letter(place_of(place))
    show.whole(letter, replay.look(log, [letter])[origin_of(letter)], Framing(settings))


@main.command("replay")
@click.argument("places", metavar="[PARTITION:OFFSET]...", nargs=-1)
@_filtered
@click.option("--limit", type=click.IntRange(1), help="Replay the oldest so many only.")
@click.option("--again", is_flag=True, help="Also records of `traffic` that were replayed before.")
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@SERVERS
@told_in_one_line
def replay_command(
    places: Sequence[str],
    limit: int | None,
    again: bool,
    dry_run: bool,
    yes: bool,
    bootstrap_servers: str | None,
    **filters: Any,
) -> None:
    """Write the records of the letters meant to the topic and partition they came from, once more.

    The record itself is read from `traffic` or `curated`, while that keeps it, and goes through its stage again under
    its own record id: one that ended well meanwhile is found to be a duplicate of itself. Only letters of the curate
    and label stages are replayed. For one of the window stage mend the cause, stop the worker and remove the folder
    `window` of its state: the window is made again from its topics. For one of the rollout stage a new event is sent.
    """
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    log = Log(settings)
    letters = _meant(log, places, filters, limit)
    replays = None if dry_run or not letters else replay.Replays(settings)
    found = plan(letters, replay.look(log, letters), again=again)
    _tell(found)
    failed = bool(found.refused)
    if replays is not None and found.ready:
        if not yes:
            click.confirm(f"replay {len(found.ready)} records?", abort=True)
        failed |= not _sent(replays, log, found.ready)
    sys.exit(1 if failed else 0)


def _meant(log: Log, places: Sequence[str], filters: dict[str, Any], limit: int | None) -> list[Letter]:
    """Return the letters that arguments or filters name, oldest first."""
    if places and (limit or any(filters.values())):
        raise BadInput("PARTITION:OFFSET", " ".join(places), "name letters, or filter them, not both")
    if places:
        letters = [log.letter(place) for place in dict.fromkeys(map(place_of, places))]
    else:
        letters = [letter.without_payload() for letter in filter(_filter(**filters).takes, log.letters())]
    return sorted(letters, key=lambda letter: letter.age)[:limit]


def _tell(found: ReplayPlan) -> None:
    for letter, why in found.refused:
        print(f"{_name(letter)}: not replayed: {why}")
    by_topic = Counter(origin_of(letter)[0] for letter in found.ready)
    ready = ", ".join(f"{count} to {topic}" for topic, count in sorted(by_topic.items())) or "none"
    print(f"can be replayed: {ready}; cannot: {len(found.refused)}")


def _sent(replays: replay.Replays, log: Log, letters: Sequence[Letter]) -> bool:
    """Send, say what went where, and tell whether all of it did."""
    done = Counter[str]()
    try:
        for letter, place in replays.send(log, letters):
            if place is None:
                print(f"{_name(letter)}: not replayed: its origin {shown(origin_of(letter))} went meanwhile")
            else:
                print(f"{_name(letter)}: {shown(origin_of(letter))} is replayed to {shown(place)}")
                done[place[0]] += 1
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
    print("replayed: " + (", ".join(f"{count} to {topic}" for topic, count in sorted(done.items())) or "none"))
    return done.total() == len(letters)


def _name(letter: Letter) -> str:
    return f"letter {letter.place[0]}:{letter.place[1]}"


if __name__ == "__main__":
    main(prog_name="millrace dead-letters")
