"""A snapshot from its folder, checked against the digest that the retrain request names. Writes nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pyarrow import parquet

from schemas.arrays import Floats, Ints
from schemas.errors import BadInput, ContractError
from schemas.manifest import MANIFEST, ROWS, SnapshotManifest, rows_digest
from schemas.records import Split

_REMEDY: Final = "wait for more labels, or widen the window (window.age_days, splits.*)"


@dataclass(frozen=True)
class Rows:
    """Rows of one split."""

    record_ids: list[str]
    clusters: list[str]
    texts: list[str]
    labels: Ints  # (rows,) index into the job's labels
    soft: Floats  # (rows, labels) the teacher's class probabilities; NaN in a row without
    weights: Floats  # (rows,) inverse propensity

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Snapshot:
    """A verified snapshot."""

    manifest: SnapshotManifest
    sha256: str
    train: Rows
    validation: Rows
    test: Rows


def load_snapshot(folder: Path, sha256: str, labels: list[str]) -> Snapshot:
    """Read and verify a snapshot.

    Raises:
        ContractError: it is missing or not what the request names.
        BadInput: it cannot teach: a split is empty, or all training rows have one class.
    """
    try:
        written = (folder / MANIFEST).read_bytes()
        manifest = SnapshotManifest.from_bytes(written)
        table: list[dict[str, Any]] = parquet.read_table(folder / ROWS).to_pylist()
        found = rows_digest(table)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ContractError(f"{folder} holds no snapshot that can be read: {error}") from error
    digest = hashlib.sha256(written).hexdigest()  # of the bytes: an older manifest lacks fields that have come since
    if digest != sha256:
        raise ContractError(f"{folder / MANIFEST} has the digest {digest}, the request names {sha256}")
    if found != manifest.rows_sha256:
        raise ContractError(f"{folder / ROWS} has the digest {found}, its manifest says {manifest.rows_sha256}")
    if manifest.labels != labels:
        raise ContractError(f"{folder} has the labels {manifest.labels}, the job {labels}")
    train, validation, test = (
        _rows_of([row for row in table if row["split"] == split], labels)
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
    )
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        if not len(rows):
            raise BadInput(f"snapshot {manifest.snapshot_id}: {name}", 0, f"holds no rows of this split; {_REMEDY}")
    if len(np.unique(train.labels)) < 2:
        raise BadInput(f"snapshot {manifest.snapshot_id}: classes", 1, f"two at least are needed to learn; {_REMEDY}")
    return Snapshot(manifest, sha256, train, validation, test)


def _rows_of(table: list[dict[str, Any]], labels: list[str]) -> Rows:
    index = {label: number for number, label in enumerate(labels)}
    unknown = {row["label"] for row in table} - index.keys()
    if unknown:
        raise ContractError(f"the snapshot has labels outside the label set: {sorted(unknown)[:5]}")
    absent = [float("nan")] * len(labels)
    soft = [absent if row["class_probabilities"] is None else row["class_probabilities"] for row in table]
    return Rows(
        record_ids=[row["record_id"] for row in table],
        clusters=[row["cluster_id"] for row in table],
        texts=[row["text"] for row in table],
        labels=np.array([index[row["label"]] for row in table], dtype=np.int64),
        soft=np.array(soft, dtype=np.float64).reshape(len(table), len(labels)),
        weights=np.array([1 / row["propensity"] for row in table], dtype=np.float64),
    )
