"""`millrace labels spend`: what the labels cost, from the topics, against the budget.

Exit codes: 0 done, 1 the ledger does not balance, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.table import Table

from deploy.commands.labels.ledger import PERIODS, ledger, plain
from deploy.edge.process.command import told_in_one_line
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_placed
from schemas.errors import BadInput
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
    ("untold", "+ further calls, not told apart (older release)"),
    ("dead_letter_calls", "+ calls of dead letters"),
    ("calls", "= calls"),
    ("batched", "  of these in batches"),
    ("residual", "residual"),
)

R = TypeVar("R", LabelRecord, DeadLetter, Ceiling)


@click.group()
def main() -> None:
    """Look at what the labels cost."""


@main.command("spend")
@click.argument("workload", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by workload.")
@click.option("--bootstrap-servers", help="The cluster.  [default: MILLRACE_BOOTSTRAP_SERVERS]")
@told_in_one_line
def spend_command(workload: str | None, as_json: bool, bootstrap_servers: str | None) -> None:
    """Show calls, tokens and money by what they were for, and what is left of the budget.

    Counted from `labels`, `dead-letters` and `ceilings`, as far back as they are kept. A call whose label was not
    written when its worker was killed is not here: the endpoint may have counted that many more.
    """
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    workloads = settings.workloads()
    if workload is not None and workload not in workloads:
        raise BadInput("workload", workload, f"choose one of {', '.join(sorted(workloads))}")
    found = {}
    for name in [workload] if workload else sorted(workloads):
        labels = _timed(settings, LABELS, LabelRecord, name)
        letters = _timed(settings, DEAD_LETTERS, DeadLetter, name)
        ceilings = _timed(settings, CEILINGS, Ceiling, name)
        teacher = workloads[name].teacher
        found[name] = plain(ledger(labels, chain(letters, ceilings), datetime.now(UTC)), teacher.price, teacher.budget)
    if as_json:
        print(json.dumps(found))
    else:
        for name, told in found.items():
            _show(name, told)
    if any(told["residual"] for told in found.values()):
        sys.exit(1)


def _timed(settings: Settings, topic: Topic, kind: type[R], workload: str) -> Iterator[tuple[datetime, R]]:
    for placed in read_placed(settings, "labels", Framing(settings), topic, kind, workload):
        yield placed.appended, placed.record


def _show(name: str, told: dict[str, Any]) -> None:
    console = Console(highlight=False)
    books = Table(box=None, pad_edge=False, show_header=False)
    books.add_column(justify="left")
    books.add_column(justify="right")
    for key, text in _ROWS:
        if told[key] or key not in ("untold", "batched", "residual"):
            books.add_row(text, f"{told[key]:,}")
    console.print(f"{name}: calls to the teacher", markup=False)
    console.print(books)
    spent = Table(box=None, pad_edge=False)
    for heading in ("spent (limit)", *PERIODS):
        spent.add_column(heading, justify="left" if heading.startswith("spent") else "right")
    for kind in ("calls", "tokens", "money"):
        cells = [_cell(told["spent"][period][kind], kind) for period in PERIODS]
        spent.add_row(f"money, {told['currency']}" if kind == "money" else kind, *cells)
    console.print(spent)


def _cell(one: dict[str, float | None], kind: str) -> str:
    if one["amount"] is None:
        return "no price"
    digits = 4 if kind == "money" else 0
    limit = "" if one["limit"] is None else f" ({one['limit']:,.{digits}f})"
    return f"{one['amount']:,.{digits}f}{limit}"


if __name__ == "__main__":
    main(prog_name="millrace labels")
