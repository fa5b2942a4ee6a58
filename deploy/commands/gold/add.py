"""Writes a file of human labels to `gold`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from deploy.commands.gold.rows import read_rows
from deploy.commands.gold.topic import gold_labels, write
from deploy.edge.process.settings import Settings
from schemas.rules.anchors import is_anchor


def add(settings: Settings, file: Path, workload: str | None, annotator: str | None) -> None:
    """Write a file's human labels to `gold`, all or none, and print how many there are."""
    chosen = settings.workload(workload)
    found = gold_labels(read_rows(file, chosen, annotator), chosen, file.name, datetime.now(UTC))
    write(settings, found)
    texts = {one.text_key for one in found}
    anchors = sum(is_anchor(chosen.name, key) for key in texts)
    people = len({one.annotator for one in found})
    print(f"{chosen.name}: {len(found)} labels of {people} annotators on {len(texts)} texts, {anchors} of them anchors")
