"""`millrace rollout status|hold|resume|abort|promote|undo`: see a rollout, and command it.

Exit codes: 0 done, 1 no router or controller acted, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from deploy.edge.process.command import WORKLOAD, one_line_errors, run

_WHY: Final = click.option("--why", default="", help="Kept with the command.")


@click.group()
def main() -> None:
    """Show, hold, resume, abort, promote or undo a rollout.

    WORKLOAD need not be given where there is only one.
    """


@main.command()
@WORKLOAD
@one_line_errors
def status(workload: str | None) -> None:
    """Show where a rollout is, and how it got there."""
    from deploy.commands.rollout.control import show_status
    from deploy.commands.rollout.settings import RolloutSettings

    show_status(RolloutSettings.load(), workload)


@main.command()
@WORKLOAD
@_WHY
@one_line_errors
def abort(workload: str | None, why: str) -> None:
    """Take the challenger out everywhere, at once.

    It calls every router's admin address, and works with Kafka down. Exit code 1 unless every router acknowledged.
    """
    from deploy.commands.rollout import control
    from deploy.commands.rollout.settings import RolloutSettings

    if not control.abort(RolloutSettings.load(), workload, why):
        sys.exit(1)


def _add(name: str, says: str) -> None:
    """Add a command that goes to the controller."""

    @main.command(name, help=says)
    @WORKLOAD
    @_WHY
    @one_line_errors
    def command(workload: str | None, why: str) -> None:
        from deploy.commands.rollout import control
        from deploy.commands.rollout.settings import RolloutSettings

        if not control.command(RolloutSettings.load(), workload, name.upper(), why):
            sys.exit(1)


_add("hold", "Freeze the weight; guardrails go on watching.")
_add("resume", "Go on after a hold.")
_add("promote", "Promote the challenger now, whatever is proven.")
_add("undo", "Go back to the champion before the last promotion.")


if __name__ == "__main__":
    run(main, "millrace rollout")
