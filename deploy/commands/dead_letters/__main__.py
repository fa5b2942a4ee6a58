"""`millrace dead-letters list|show|replay`: what could not be processed and why, and its replay.

Exit codes: 0 done, 1 something could not be replayed, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from deploy.edge.process.command import AS_JSON, SERVERS, load_settings, one_line_errors, run
from schemas.errors import DeadLetterReason
from schemas.topics import STAGES

F = TypeVar("F", bound=Callable[..., Any])

_REASONS: Final = [reason.value for reason in DeadLetterReason]
_REASON_HELP: Final = f"One of {', '.join(_REASONS)}. Can be repeated."
_FILTERS: Final = (
    click.option("--reason", multiple=True, type=click.Choice(_REASONS), metavar="REASON", help=_REASON_HELP),
    click.option(
        "--stage", type=click.Choice([stage.value for stage in STAGES]), help="The stage that wrote the letter."
    ),
    click.option("-w", "--workload", help="Letters of this workload only."),
    click.option("--since", help="An ISO 8601 time (UTC), or an age such as 90s, 30m, 2h, 7d; by the broker's clock."),
    click.option("--until", help="As --since; that moment itself is left out."),
)


def _filtered(command: F) -> F:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """Show what could not be processed, and replay it."""


@main.command("list")
@_filtered
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many to show, the newest.")
@AS_JSON
@SERVERS
@one_line_errors
def list_command(limit: int, as_json: bool, bootstrap_servers: str | None, **filters: Any) -> None:
    """Show letters, oldest first, and how many by reason.

    With --json there is one object per letter.
    """
    from deploy.commands.dead_letters.steps import print_list

    print_list(load_settings(bootstrap_servers), filters, limit, as_json=as_json)


@main.command()
@click.argument("place", metavar="PARTITION:OFFSET")
@SERVERS
@one_line_errors
def show(place: str, bootstrap_servers: str | None) -> None:
    """Show all of one letter, and what is kept of its record."""
    from deploy.commands.dead_letters.steps import print_one

    print_one(load_settings(bootstrap_servers), place)


@main.command()
@click.argument("places", metavar="[PARTITION:OFFSET]...", nargs=-1)
@_filtered
@click.option("--limit", type=click.IntRange(1), help="How many to replay at most, the oldest first.")
@click.option("--again", is_flag=True, help="Also records of `traffic` that were replayed before.")
@click.option("--dry-run", is_flag=True, help="Show what would be replayed, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@SERVERS
@one_line_errors
def replay(
    places: Sequence[str],
    limit: int | None,
    again: bool,
    dry_run: bool,
    yes: bool,
    bootstrap_servers: str | None,
    **filters: Any,
) -> None:
    """Write the letters' records to their topics once more.

    The record itself is read from `traffic` or `curated`, while that keeps it, and goes through its stage again under
    its own record id: one that ended well meanwhile is found to be a duplicate of itself. Only letters of the curate
    and label stages are replayed. For one of the window stage mend the cause, stop the worker and remove the folder
    `window` of its state: the window is made again from its topics. For one of the rollout stage a new event is sent.
    """
    from deploy.commands.dead_letters.steps import replay_letters

    settings = load_settings(bootstrap_servers)
    done = replay_letters(settings, places, filters, limit, again=again, dry_run=dry_run, yes=yes)
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    run(main, "millrace dead-letters")
