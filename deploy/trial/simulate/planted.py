"""What the newswire planted, kept apart from the traffic: a list of it, and the truth for the practice teacher.

Both are JSON lines, written whole, fsynced and put in place by one rename. Neither is ever sent anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from schemas.errors import BadInput
from schemas.manifest import canonical

PlantedKind = Literal["original", "duplicate", "near_duplicate", "poison"]


@dataclass(frozen=True, kw_only=True)
class PlantedEntry:
    """One planted record."""

    id: str
    kind: PlantedKind
    text: str | None = None  # as sent; None where a poison record has none
    label: str | None = None  # the true class; None for poison
    of: str | None = None  # the id of the original that it repeats
    pii: list[str] = field(default_factory=list)  # the exact strings planted in the text
    poison: str | None = None  # which kind of poison


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The true class of one text, by its key in the stream."""

    text_key: str
    label: str
    cluster_key: str  # the original's text_key: near duplicates share the teacher's answer


def write_planted(file: Path, entries: Iterable[PlantedEntry]) -> None:
    """Write what was planted, replacing what was there."""
    _write(file, map(asdict, entries))


def add_truth(file: Path, truths: Iterable[Truth]) -> None:
    """Add the truth of one draw, one line per distinct text: earlier draws stay known to the teacher.

    Raises:
        BadInput: the file holds something else.
    """
    try:
        lines = file.read_bytes().splitlines() if file.exists() else []
        distinct = {truth.text_key: truth for truth in (Truth(**json.loads(line)) for line in lines)}
    except (OSError, ValueError, TypeError) as error:
        raise BadInput("truth", str(file), f"holds something else: {error}") from error
    for truth in truths:
        distinct.setdefault(truth.text_key, truth)
    _write(file, map(asdict, distinct.values()))


def _write(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    with aside.open("wb") as out:
        out.writelines(canonical(line) + b"\n" for line in lines)
        out.flush()
        os.fsync(out.fileno())
    aside.replace(file)
