"""Real labelled text, which is not part of the project: beside the repository's root, or where MILLRACE_DATA says."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

from schemas.rules.normalise import normalise

FOLDER = Path(os.environ.get("MILLRACE_DATA") or Path(__file__).parents[2] / "shared" / "data")


def real_texts(name: str, column: str = "text") -> list[str]:
    """Return the normalised texts of a data set, empty ones left out; nothing where it is absent."""
    file = FOLDER / name / "data.csv.gz"
    if not file.exists():
        return []
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        return [text for row in csv.DictReader(opened) if (text := normalise(row[column]))]


def real_rows(name: str) -> list[tuple[str, str]]:
    """Return (normalised text, label) of each distinct text of a labelled data set; nothing where it is absent."""
    file = FOLDER / name / "data.csv.gz"
    if not file.exists():
        return []
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        return list({normalise(row["text"]): row["label"] for row in csv.DictReader(opened) if row["text"]}.items())
