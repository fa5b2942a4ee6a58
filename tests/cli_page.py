"""Every command as docs/cli.md shows it: made from the commands themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click

from deploy.cli import COMMANDS, GROUPS

WIDTH = 100  # columns of the page


def commands() -> Iterator[tuple[str, click.Context]]:
    """Yield each command and subcommand by the name that people type, in the order of `millrace --help`."""
    for name, (room, _) in COMMANDS.items():
        main: click.Command = import_module(f"{room}.__main__").main
        command = main.commands.get(name, main) if isinstance(main, click.Group) else main
        names = ["--help", "-h"]
        yield from _with_subcommands(
            _context(command, f"millrace {name}", terminal_width=WIDTH, help_option_names=names)
        )


def _context(command: click.Command, name: str, parent: click.Context | None = None, **settings: Any) -> click.Context:
    fresh = copy.copy(command)
    fresh._help_option = None
    return fresh.make_context(name, [], parent, resilient_parsing=True, **settings)


def _with_subcommands(context: click.Context) -> Iterator[tuple[str, click.Context]]:
    yield context.command_path, context
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            yield from _with_subcommands(_context(command, name, context))


def part() -> str:
    """Return the page's part: a table of the commands by group, and what each says with `--help`."""
    lines = ["| | command | what it does |", "|---|---|---|"]
    for heading, group in GROUPS.items():
        for number, (name, (_, purpose)) in enumerate(group.items()):
            lines.append(f"| {'' if number else heading} | [`millrace {name}`](#millrace-{name}) | {purpose} |")
    for path, context in commands():
        heading = "##" if path.count(" ") == 1 else "###"
        lines += ["", f"{heading} {path}", "", "```text", context.get_help(), "```"]
    return "\n".join(lines)
