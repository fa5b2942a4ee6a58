"""The planted truth of simulated traffic, read from a file that may still grow.

The file is the simulator's ledger for the teacher: lines of JSON with text_key, label and cluster_key. It is looked at
again before every answer; only what was added is read, and a line counts once it ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import BadInput


@dataclass(frozen=True)
class PlantedLabel:
    """The true label of a text, and what its near duplicates share."""

    label: str
    cluster_key: str


class TruthFile:
    """The truth by text key."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, PlantedLabel] = {}
        self._identity = 0
        self._read_bytes = 0
        self._seen = (0, 0)

    def find(self, text_key: str) -> PlantedLabel | None:
        """Return the truth of a text, or None where nothing was planted.

        Raises:
            BadInput: a line is no such entry.
        """
        self._refresh()
        return self._known.get(text_key)

    def __len__(self) -> int:
        self._refresh()
        return len(self._known)

    def _refresh(self) -> None:
        try:
            now = self._file.stat()
        except FileNotFoundError:
            return  # not written yet
        if (now.st_mtime_ns, now.st_size) == self._seen and now.st_ino == self._identity:
            return
        if now.st_ino != self._identity or now.st_size < self._read_bytes:
            self._known, self._read_bytes, self._identity = {}, 0, now.st_ino
        with self._file.open("rb") as content:
            content.seek(self._read_bytes)
            added = content.read()
        whole = added[: added.rfind(b"\n") + 1]
        for line in whole.splitlines():
            key, planted = _parse(line, self._file)
            self._known[key] = planted
        self._read_bytes += len(whole)
        self._seen = (now.st_mtime_ns, now.st_size)


def _parse(line: bytes, file: Path) -> tuple[str, PlantedLabel]:
    try:
        entry = json.loads(line)
        return str(entry["text_key"]), PlantedLabel(str(entry["label"]), str(entry["cluster_key"]))
    except (ValueError, KeyError, TypeError) as error:
        remedy = "each line must be JSON with text_key, label and cluster_key, as `millrace simulate --truth` writes it"
        raise BadInput(str(file), line[:80].decode(errors="replace"), remedy) from error
