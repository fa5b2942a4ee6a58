"""A gold report on the terminal, and as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from deploy.commands.gold.figures import LEAST_ROWS, Report
from schemas.workload import Workload

_CONFUSIONS: Final = 5


def plain(found: Report) -> dict[str, Any]:
    """Return the report as JSON values."""
    return dataclasses.asdict(found)


def table(workload: Workload, found: Report) -> None:
    """Print the report, and what it means for the gate."""
    console = Console(highlight=False)
    console.print(
        f"{workload.name}: {found.gold} texts with human labels; left out: {found.tied} on which annotators are tied, "
        f"{found.unmatched} that the teacher did not label; {found.anchors} anchors"
    )
    shown = Table(box=None, pad_edge=False)
    for heading in ("figure", "value", "95 %", "n", "effective n", ""):
        shown.add_column(heading, justify="left" if heading in ("figure", "") else "right")
    for one in found.figures:
        bounds = f"{one.interval.low:.3f} to {one.interval.high:.3f}"
        shown.add_row(one.name, f"{one.interval.value:.3f}", bounds, f"{one.n}", f"{one.effective_n:.0f}", one.note)
    console.print(shown)
    calibration = found.calibration
    if calibration is None:
        console.print(f"calibration: unknown; it needs {LEAST_ROWS} anchors and {LEAST_ROWS} others with probabilities")
    else:
        console.print(
            f"calibration: temperature {calibration.temperature:.2f} from {calibration.fitted} rows; "
            f"error on {calibration.n} anchors {calibration.before:.3f} without it, {calibration.after:.3f} with it"
        )
    for human, teacher, count in found.confusions[:_CONFUSIONS]:
        console.print(f"people say {human}, the teacher {teacher}: {count} times", markup=False)
