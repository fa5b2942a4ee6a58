"""What a run's folder says about the run: its evidence, its failure, its last line of progress. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

_EVIDENCE: Final = "evidence.json"
_FAILED: Final = "failed.json"
_PROGRESS: Final = "progress.jsonl"
_TAIL_BYTES: Final = 65_536  # some 500 lines: from the last step of training to the end of the run


@dataclass(frozen=True)
class ProgressLine:
    """One line of progress, with the loss of the last step that was said up to it."""

    phase: str
    step: int
    steps: int
    loss: float | None
    message: str


def finished_in(folder: Path) -> dict[str, Any] | None:
    """Return the evidence of a finished run; it is there whole or not at all."""
    return _json(folder / _EVIDENCE)


def failure_in(folder: Path) -> str | None:
    """Return why the run can never succeed, where it said so."""
    found = _json(folder / _FAILED)
    return None if found is None else str(found.get("message"))


def last_line(folder: Path) -> ProgressLine | None:
    """Return the last whole line of progress. A run whose training is over keeps the loss it ended with."""
    try:
        with (folder / _PROGRESS).open("rb") as lines:
            lines.seek(max(0, lines.seek(0, 2) - _TAIL_BYTES))
            whole = lines.read().split(b"\n")[:-1]
        said = (ProgressLine(**json.loads(line)) for line in reversed(whole))
        last = next(said, None)
        if last is None or last.loss is not None:
            return last
        return replace(last, loss=next((line.loss for line in said if line.loss is not None), None))
    except (OSError, ValueError, TypeError):
        return None


def _json(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found
