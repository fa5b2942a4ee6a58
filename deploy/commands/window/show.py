"""What `millrace window` prints: a copy made for the question about a second ago.

A row is the last label of a record that was not erased.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.commands.window.copied import Copy, copied
from deploy.commands.window.figures import MOST_SOURCES, WindowFigures, figures
from deploy.edge.process.settings import Settings
from schemas.records import Split


def window(settings: Settings, workload: str | None, *, as_json: bool) -> None:
    """Print each class by split, its age, effective n and sources, of a workload or of all."""
    with copied(settings.state_dir) as copy:
        found = [one for one in figures(copy, settings.workloads()) if workload in (None, one.workload)]
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found]))
        return
    console = Console(highlight=False)
    for one in found:
        _show(console, one)
    _print_age(console, copy)
    if not found:
        console.print(f"no rows{f' of {workload}' if workload else ''}", markup=False)


def answer(settings: Settings, sql: str, *, as_json: bool) -> None:
    """Print what DuckDB answers of the table `rows`."""
    with copied(settings.state_dir) as copy:
        names, rows = copy.ask(sql)
    if as_json:
        for row in rows:
            print(json.dumps(dict(zip(names, row, strict=True)), default=str))
        return
    console = Console(highlight=False)
    console.print(_table(names, rows))
    console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")
    _print_age(console, copy)


def _show(console: Console, one: WindowFigures) -> None:
    console.print(f"{one.workload}: event times {one.time_from} to {one.time_to} UTC", markup=False)
    splits = [split.value for split in Split]
    lines: list[Sequence[Any]] = []
    for each in one.classes:
        name = each.label if each.known else f"{each.label} (not in the label set)"
        lines.append(
            (name, *(each.rows.get(split, 0) for split in splits), f"{each.days[0]:.1f} to {each.days[1]:.1f}")
        )
    lines.append(("labels, not votes", *(one.labels[split] for split in splits), ""))
    lines.append(("effective n of these", *(f"{one.effective_n[split]:.0f}" for split in splits), ""))
    console.print(_table(["class", *(split.lower() for split in splits), "days old"], lines))
    shown = list(one.sources.items())[:MOST_SOURCES]
    more = len(one.sources) - len(shown)
    rest = f", and {more} more" if more else ""
    named = ", ".join(f"{source or 'none named'} {rows}" for source, rows in shown)
    if one.corrected:
        console.print(f"labels corrected by second answers: {one.corrected}")
    console.print(f"sources of training rows: {named}{rest}", markup=False)


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    return table


def _print_age(console: Console, copy: Copy) -> None:
    age = (datetime.now(UTC) - copy.time).total_seconds()
    console.print(f"copied {age:.1f} s ago")
