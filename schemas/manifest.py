"""Manifests of immutable things: a snapshot of the window, and a student. Plain classes, standard library only.

A manifest's own SHA-256, over its canonical JSON, is what events name; whoever fetches the thing checks every file
against it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from hashlib import sha256
from json.encoder import encode_basestring as _string
from operator import itemgetter
from typing import Any, Final

MANIFEST: Final = "manifest.json"
ROWS: Final = "rows.parquet"
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_TEXTS: Final = ("cluster_id", "label", "provenance", "record_id", "split", "text")


def canonical(value: Any) -> bytes:
    """Return the one JSON spelling of a value: sorted keys, no spaces, UTF-8."""
    return _ENCODER.encode(value).encode()


@dataclass(frozen=True, kw_only=True)
class SnapshotManifest:
    """What a snapshot holds. `rows.parquet` beside it has, ordered by record_id, the columns
    record_id, cluster_id, text, label, class_probabilities (list of double in the order of `labels`, or null), split,
    propensity, provenance (all strings but propensity) and event_time (timestamp, UTC).
    """

    snapshot_id: str
    workload: str
    epoch: int
    labels: list[str]
    rows: int
    rows_sha256: str  # over the canonical rows, so that it does not depend on Parquet's encoding
    class_counts: dict[str, dict[str, int]]  # split -> label -> rows
    labels_partition: int
    labels_offset: int  # everything below it was considered
    policy: dict[str, float]  # the numbers that chose the rows: window, splits, similarity of near duplicates
    teacher_models: list[str]
    prompts: list[str] = field(default_factory=list)  # SHA-256 of the prompts that its labels were asked with
    time_from: str | None = None  # ISO 8601, UTC
    time_to: str | None = None
    effective_n: dict[str, float] = field(default_factory=dict)  # split -> Kish's, of the rows' inverse propensities
    test_times_used: int = 1  # requests, this one counted, in which the longest used of its test rows took part
    columns: dict[str, str] = field(default_factory=dict)  # of rows.parquet: name -> Arrow type
    format: str = "millrace-snapshot/1"

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return canonical(dataclasses.asdict(self))

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, in hex."""
        return sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> SnapshotManifest:
        """Return the manifest that `to_bytes` wrote.

        Raises:
            ValueError, TypeError: it is no such manifest.
        """
        return cls(**json.loads(data))


def rows_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return `rows_sha256`: the SHA-256 over the canonical JSON of each row, a line each, in the order of record_id.

    Args:
        rows: the columns of `rows.parquet` by name; `event_time` an aware datetime, `class_probabilities` a list
            or None.
    """
    total = sha256()
    for row in sorted(rows, key=itemgetter("record_id")):
        total.update(_line(row).encode())
    return total.hexdigest()


def _line(row: Mapping[str, Any]) -> str:
    """Return `canonical` of a row and a line's end, spelled here: it is most of a snapshot's time, this takes half."""
    soft, time = row["class_probabilities"], row["event_time"]
    time = time if time.tzinfo is UTC else time.astimezone(UTC)
    probabilities = "null" if soft is None else f"[{','.join(map(repr, map(float, soft)))}]"
    cluster, label, provenance, record, split, text = (_string(str(row[name])) for name in _TEXTS)
    return (
        f'{{"class_probabilities":{probabilities},"cluster_id":{cluster},"event_time":"{time.isoformat()}",'
        f'"label":{label},"propensity":{float(row["propensity"])!r},"provenance":{provenance},"record_id":{record},'
        f'"split":{split},"text":{text}}}\n'
    )


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """One file of an artefact."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class StudentManifest:
    """What a student is, and what its files must hash to: a head that all have, and the part of its form.

    On disk they are one flat object. So a manifest written before there were forms is the same bytes, and its digest
    the same, read by this class.
    """

    model_version: str
    workload: str
    labels: list[str]  # in the order of the model's outputs
    form: str  # names what loads it: trainers/students/ladder.py
    base_model: str  # "": it stands on none
    base_sha256: str  # over the base's weights and tokenizer
    files: list[FileDigest]
    snapshot_sha256: str
    seed: int
    runtime: dict[str, str] = field(default_factory=dict)
    format: str = "millrace-adapter/1"
    part: Mapping[str, Any] = field(default_factory=dict)  # what only students of this form have

    def __post_init__(self) -> None:
        """Refuse a part that would hide in the head."""
        if taken := self.part.keys() & vars(self).keys():
            raise ValueError(f"the form's part names fields of the head: {', '.join(sorted(taken))}")

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        head = dataclasses.asdict(self)
        return canonical(head.pop("part") | head)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, in hex."""
        return sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> StudentManifest:
        """Return the manifest that `to_bytes` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is no such manifest.
        """
        values = json.loads(data)
        if not isinstance(values, dict):
            raise TypeError("it is no JSON object")
        files = [FileDigest(**item) for item in values.pop("files")]
        head = {one.name: values.pop(one.name) for one in dataclasses.fields(cls) if one.name not in ("files", "part")}
        return cls(files=files, part=values, **head)
