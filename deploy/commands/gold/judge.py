"""Judges the teacher, and a student, by the human labels of `gold`."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from deploy.commands.gold import show
from deploy.commands.gold.figures import report
from deploy.commands.gold.joined import humans, taught
from deploy.commands.gold.topic import GoldTopics
from deploy.edge.process.settings import Settings
from schemas.errors import BadInput
from schemas.rules.multiplicity import duplicates_of


def judge(settings: Settings, workload: str | None, predictions: Path | None, *, as_json: bool) -> None:
    """Print how good the teacher is by people's labels, and a student on the rows it was tested on."""
    chosen = settings.workload(workload)
    student = None if predictions is None else _predictions(predictions)
    topics = GoldTopics(settings, chosen.name)
    gold = humans(topics.gold())
    if not gold:
        raise BadInput("WORKLOAD", chosen.name, "has no human labels; add some with `millrace gold add FILE`")
    teacher = taught(topics.labels(), duplicates_of(topics.discarded()), gold, student or {})
    ceiling = next(iter(deque(topics.ceilings(), maxlen=1)), None)
    found = report(chosen.name, chosen.labels, gold, teacher, student, ceiling)
    if as_json:
        print(json.dumps(show.plain(found)))
    else:
        show.table(chosen, found)


def _predictions(file: Path) -> dict[str, str]:
    """Return a student's label by record id."""
    try:
        table: Any = parquet.read_table(file, columns=["record_id", "student"])
    except (OSError, pa.ArrowException) as error:
        raise BadInput("--predictions", str(file), f"is no predictions.parquet of a run: {error}") from error
    return dict(zip(table.column("record_id").to_pylist(), table.column("student").to_pylist(), strict=True))
