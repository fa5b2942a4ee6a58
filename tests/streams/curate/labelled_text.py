"""Real labelled text for tests: beside the repository's root, or in the folder that MILLRACE_DATA names."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import pytest

from schemas.rules.normalise import normalise

FOLDER = Path(os.environ.get("MILLRACE_DATA") or Path(__file__).parents[4] / "shared" / "data")


def real_texts(name: str, column: str = "text") -> list[str]:
    """Return the normalised texts of a data set; a test is skipped where it is absent."""
    file = FOLDER / name / "data.csv.gz"
    if not file.exists():
        pytest.skip(f"no labelled text at {file}; MILLRACE_DATA names the folder that holds it")
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        return [text for row in csv.DictReader(opened) if (text := normalise(row[column]))]
