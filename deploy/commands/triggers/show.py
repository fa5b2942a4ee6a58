"""How triggers and requests look on a terminal. Pure but for the printing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from schemas.events import RetrainRequest, TriggerVerdict
from schemas.trigger_board import TriggerBoard

_LAST: Final = 5  # requests shown
_NUMBERS: Final = ("n", "nominal")  # shown besides what has a column of its own


def state(console: Console, board: TriggerBoard) -> None:
    """Print the state of every trigger, and the request they lead to."""
    console.print(
        f"[bold]{board.workload}[/]  epoch {board.epoch}, {board.new_labels:,} labels since, mode {board.mode}, "
        f"rule {board.rule}; as of {board.time:%Y-%m-%d %H:%M:%S} UTC"
    )
    table = Table(
        "trigger", "fired", "statistic", "threshold", "effect", "floor", "n", "nominal", "why", box=None, pad_edge=False
    )
    for verdict in board.verdicts:
        table.add_row(*_row(verdict))
    console.print(table)
    console.print(f"asks: {board.asks or 'no trigger asks for a retrain'}", markup=False)
    console.print(f"held back: {board.held_back or 'by nothing'}", markup=False)


def requests(console: Console, found: Sequence[RetrainRequest]) -> None:
    """Print the newest requests with what each trigger said."""
    if not found:
        console.print("no retrain has been asked for yet")
    for request in reversed(found[-_LAST:]):
        console.print(
            f"epoch {request.epoch}  {request.time:%Y-%m-%d %H:%M:%S} UTC  by {request.trigger}  "
            f"below labels/{request.labels_partition}:{request.labels_offset}  {request.rows:,} rows  "
            f"{request.request_id}", markup=False, highlight=False,
        )  # fmt: skip
        for verdict in request.verdicts:
            console.print(f"  {'*' if verdict.fired else '-'} {verdict.trigger}: {verdict.explanation}", markup=False)


def _row(verdict: TriggerVerdict) -> list[str]:
    numbers = verdict.numbers
    measured = next((numbers[name] for name in ("statistic", "hours", "labels") if name in numbers), None)
    shown = [measured, *(numbers.get(name) for name in ("threshold", "effect", "floor", *_NUMBERS))]
    cells = ["" if value is None else f"{value:,.4g}" for value in shown]
    return [verdict.trigger, "yes" if verdict.fired else "no", *cells, verdict.explanation]
