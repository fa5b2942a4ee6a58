"""What the labels cost, from the topics, against the budget: what `millrace labels spend` shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.table import Table

from deploy.commands.labels.ledger import PERIODS, ledger, plain
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_placed
from schemas.principals import Principal
from schemas.records import Ceiling, DeadLetter, LabelRecord
from schemas.topics import CEILINGS, DEAD_LETTERS, LABELS, Topic

_ROWS: Final = (
    ("labels", "labels"),
    ("harvested", "- harvested"),
    ("cache_hits", "- cache hits"),
    ("anchors", "+ anchors"),
    ("retries", "+ retries"),
    ("votes", "+ votes"),
    ("second_prompts", "+ second prompts"),
    ("paraphrases", "+ paraphrases"),
    ("corrections", "+ corrections (millrace suspects)"),
    ("ceiling_calls", "+ calls of ceilings (millrace ceiling)"),
    ("untold", "+ further calls, purpose unknown (older release)"),
    ("dead_letter_calls", "+ calls of dead letters"),
    ("calls", "= calls"),
    ("batched", "  of these in batches"),
    ("residual", "residual"),
)

R = TypeVar("R", LabelRecord, DeadLetter, Ceiling)


def show(settings: Settings, workload: str | None, *, as_json: bool) -> bool:
    """Print the books of a workload, or of all, and say whether they balance."""
    found = {}
    for name, chosen in sorted(settings.chosen(workload).items()):
        labels = _timed(settings, LABELS, LabelRecord, name)
        letters = _timed(settings, DEAD_LETTERS, DeadLetter, name)
        ceilings = _timed(settings, CEILINGS, Ceiling, name)
        teacher = chosen.teacher
        found[name] = plain(ledger(labels, chain(letters, ceilings), datetime.now(UTC)), teacher.price, teacher.budget)
    if as_json:
        print(json.dumps(found))
    else:
        for name, values in found.items():
            _show(name, values)
    return not any(values["residual"] for values in found.values())


def _timed(settings: Settings, topic: Topic, kind: type[R], workload: str) -> Iterator[tuple[datetime, R]]:
    for placed in read_placed(settings, Principal.LABELS, Framing(settings), topic, kind, workload):
        yield placed.appended, placed.record


def _show(name: str, values: dict[str, Any]) -> None:
    console = Console(highlight=False)
    books = Table(box=None, pad_edge=False, show_header=False)
    books.add_column(justify="left")
    books.add_column(justify="right")
    for key, text in _ROWS:
        if values[key] or key not in ("untold", "batched", "residual"):
            books.add_row(text, f"{values[key]:,}")
    console.print(f"{name}: calls to the teacher", markup=False)
    console.print(books)
    spent = Table(box=None, pad_edge=False)
    for heading in ("spent (limit)", *PERIODS):
        spent.add_column(heading, justify="left" if heading.startswith("spent") else "right")
    for kind in ("calls", "tokens", "money"):
        cells = [_cell(values["spent"][period][kind], kind) for period in PERIODS]
        spent.add_row(f"money, {values['currency']}" if kind == "money" else kind, *cells)
    console.print(spent)


def _cell(one: dict[str, float | None], kind: str) -> str:
    if one["amount"] is None:
        return "no price"
    digits = 4 if kind == "money" else 0
    limit = "" if one["limit"] is None else f" ({one['limit']:,.{digits}f})"
    return f"{one['amount']:,.{digits}f}{limit}"
