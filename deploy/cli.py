"""The `millrace` command: one name for every room's program.

It replaces itself by `python -m <room> …`, so that signals and exit codes are the room's own. It imports no room and
knows none of their options: `millrace COMMAND --help` shows them.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

import click

# command -> module, what it does
COMMANDS: Final = MappingProxyType(
    {
        "up": ("deploy.infra.machine", "start every process of this machine"),
        "status": ("deploy.infra.machine", "what runs, and whether it is well"),
        "logs": ("deploy.infra.machine", "show a process's log"),
        "down": ("deploy.infra.machine", "stop every process of this machine"),
        "init": ("deploy.infra.machine.init", "write a commented workload file"),
        "doctor": ("deploy.infra.machine.doctor", "what this machine lacks, and how to get it"),
        "kafka": ("deploy.infra.kafka", "start, stop or look at the embedded broker"),
        "topics": ("deploy.infra.kafka.topics", "create the topics and the groups' start offsets"),
        "simulate": ("deploy.trial.simulate", "produce a newswire whose truth is known"),
        "replay": ("deploy.trial.simulate.replay", "produce a file or data set as traffic"),
        "worker": ("streams.app", "curate, label, window, rollout: the stream"),
        "teacher": ("deploy.serve.practice_teacher.__main__", "serve a stand-in for the teacher"),
        "serve": ("deploy.serve.students.__main__", "serve students: a base model and its adapters"),
        "router": ("deploy.serve.router", "answer requests with teacher or student, and capture them"),
        "dispatcher": ("trainers.dispatcher", "turn retrain requests into jobs"),
        "rollout": ("deploy.commands.rollout", "show, hold, resume, abort or promote a rollout"),
        "triggers": ("deploy.commands.triggers", "why a retrain was asked for, and why none is asked for now"),
        "verify": ("deploy.commands.verify", "count every record in the topics: is one lost?"),
        "trace": ("deploy.commands.verify.trace", "follow one record through the topics"),
        "ceiling": ("streams.second_answers.ceiling", "ask the teacher twice: how far can a student agree with it?"),
        "suspects": ("streams.second_answers.suspects", "ask again about labels that look wrong, and correct them"),
        "labels": ("deploy.commands.labels", "what the labels cost, against the budget"),
        "window": ("deploy.commands.window", "show the window's rows, or ask SQL of them"),
        "gold": ("deploy.commands.gold", "take in human labels; judge teacher and student by them"),
        "erase": ("deploy.commands.erase", "take a person's records out of labels, window and gold"),
        "dead-letters": ("deploy.commands.dead_letters", "list, show or replay what could not be processed"),
    }
)
# These modules are groups, in which the command is named again.
_GROUPS: Final = frozenset({"deploy.infra.machine"})


class Rooms(click.Group):
    """A group whose commands are programs of their own, found by name and started only when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, purpose = COMMANDS[cmd_name]
        again = [cmd_name] if module in _GROUPS else []

        def start(arguments: tuple[str, ...]) -> None:
            command = [sys.executable, "-m", module, *again, *arguments]
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


@click.command(cls=Rooms)
@click.version_option(version("millrace"), prog_name="millrace")
@click.option("--bootstrap-servers", help="The Kafka cluster; the same as MILLRACE_BOOTSTRAP_SERVERS.")
def main(bootstrap_servers: str | None) -> None:
    """Turn the traffic of a text application into a smaller, cheaper model that keeps itself up to date."""
    if bootstrap_servers:
        os.environ["MILLRACE_BOOTSTRAP_SERVERS"] = bootstrap_servers


if __name__ == "__main__":
    main(prog_name="millrace")
