"""The `millrace` command: one name for every room's program.

It replaces itself by `python -m <room> …`, so that signals and exit codes are the room's own. It imports no room and
knows none of their options: `millrace COMMAND --help` shows them.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from types import MappingProxyType
from typing import Final

import click

# heading -> command -> the room whose program it is, what it does: the first sentence of its own help
GROUPS: Final = MappingProxyType(
    {
        "Run": {
            "init": ("deploy.infra.machine", "Write a commented workload file."),
            "doctor": ("deploy.infra.machine", "Show what this machine lacks, and how to get it."),
            "up": ("deploy.infra.machine", "Start every process, and wait until all are ready."),
            "down": ("deploy.infra.machine", "Stop every process, and show that none is left."),
            "kafka": ("deploy.infra.kafka", "Start, stop or look at the embedded broker."),
            "topics": ("deploy.infra.kafka", "Create the topics and the groups' start offsets."),
            "worker": ("streams", "Run the stream: curate, label, window, rollout."),
            "dispatcher": ("trainers", "Turn retrain requests into jobs; publish what they prove."),
            "router": ("deploy.serve.router", "Answer with teacher or student, and capture each request."),
            "serve": ("deploy.serve.students", "Serve students: a base model and its adapters."),
            "teacher": ("deploy.serve.practice_teacher", "Serve a practice teacher, a stand-in for a teacher LLM."),
        },
        "Look": {
            "status": ("deploy.infra.machine", "Show every process; exit code 1 unless all are ready."),
            "logs": ("deploy.infra.machine", "Show the last lines of one process's log, or of all."),
            "verify": ("deploy.commands.verify", "Check that every record ended exactly once."),
            "trace": ("deploy.commands.verify", "Follow one record through topics and snapshots."),
            "dead-letters": ("deploy.commands.dead_letters", "Show what could not be processed, and replay it."),
            "window": ("deploy.commands.window", "Show the window's rows, or ask SQL of them."),
            "triggers": ("deploy.commands.triggers", "Show why a retrain was asked for, or was not."),
            "labels": ("deploy.commands.labels", "Show what the labels cost, against the budget."),
        },
        "Decide": {
            "rollout": ("deploy.commands.rollout", "Show, hold, resume, abort, promote or undo a rollout."),
            "ceiling": ("streams.second_answers", "Ask the teacher twice: how far can a student agree?"),
            "gold": ("deploy.commands.gold", "Add human labels; judge teacher and student by them."),
        },
        "Data": {
            "simulate": ("deploy.trial.simulate", "Produce a newswire whose truth is known."),
            "replay": ("deploy.trial.simulate", "Produce a file or data set as traffic, or report on it."),
            "suspects": ("streams.second_answers", "Ask again about labels that look wrong, and correct them."),
            "erase": ("deploy.commands.erase", "Take a person's records out of labels, window and gold."),
        },
    }
)
COMMANDS: Final = MappingProxyType({name: purpose for group in GROUPS.values() for name, purpose in group.items()})
_OF_ROOM: Final = Counter(room for room, _ in COMMANDS.values())


class Rooms(click.Group):
    """A group whose commands are programs of their own, found by name and started only when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands by group."""
        width = max(map(len, COMMANDS))
        for heading, group in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), purpose) for name, (_, purpose) in group.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        room, purpose = COMMANDS[cmd_name]
        again = [cmd_name] if _OF_ROOM[room] > 1 else []  # the room's program has several commands

        def start(arguments: tuple[str, ...]) -> None:
            command = [sys.executable, "-m", room, *again, *arguments]
            sys.stdout.flush()
            os.execv(command[0], command)  # noqa: S606

        return click.Command(
            cmd_name,
            callback=start,
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            short_help=purpose,
            context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
            add_help_option=False,
        )


@click.command(cls=Rooms, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(package_name="millrace", prog_name="millrace")
@click.option("--bootstrap-servers", help="The Kafka cluster.  [default: MILLRACE_BOOTSTRAP_SERVERS]")
def main(bootstrap_servers: str | None) -> None:
    """Turn an application's traffic into a smaller, cheaper model.

    It keeps itself up to date. `millrace COMMAND --help` shows what a command takes.
    """
    if bootstrap_servers:
        os.environ["MILLRACE_BOOTSTRAP_SERVERS"] = bootstrap_servers


if __name__ == "__main__":
    main(prog_name="millrace")
