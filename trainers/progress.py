"""How far a recipe is: a bar where a person watches, and one JSON line each in `progress.jsonl` for the dispatcher."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final

FILE: Final = "progress.jsonl"
_BAR: Final = 28


class Progress:
    """Writes the progress of one run."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / FILE).open("a", encoding="utf-8")
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()

    def say(self, phase: str, step: int = 0, steps: int = 0, loss: float | None = None, message: str = "") -> None:
        """Write one line; a phase with steps shows as a bar."""
        line = {"phase": phase, "step": step, "steps": steps, "loss": loss, "message": message}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
        if steps and not self._terminal and step < steps:
            return
        done = f"[{'#' * (step * _BAR // steps):<{_BAR}}] {step}/{steps} " if steps else ""
        shown = "" if loss is None else f"loss {loss:.3f} "
        end = "\r" if steps and step < steps else "\n"
        print(f"{time.monotonic() - self._started:6.1f} s  {phase:<9} {done}{shown}{message}", end=end, file=sys.stderr)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
