"""An immutable snapshot of the window: rows.parquet and manifest.json in a folder named by what they hold.

The digest covers canonical rows in the order of their ids, so that it depends neither on Parquet's encoding nor on how
the batches fell. The folder appears at once and whole; one that no request names is garbage and harmless.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.manifest import MANIFEST, ROWS, SnapshotManifest, rows_digest
from schemas.workload import Workload
from streams.window.selection import Row, class_counts

_COLUMNS: Final = pa.schema(
    [
        ("record_id", pa.string()), ("cluster_id", pa.string()), ("text", pa.string()), ("label", pa.string()),
        ("class_probabilities", pa.list_(pa.float64())), ("split", pa.string()), ("propensity", pa.float64()),
        ("provenance", pa.string()), ("event_time", pa.timestamp("us", tz="UTC")),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as written."""

    manifest: SnapshotManifest
    folder: Path  # absolute


def write(root: Path, workload: Workload, rows: list[Row], *, epoch: int, partition: int, below: int) -> Snapshot:
    """Write the snapshot of an epoch under root/<workload>/; writing the same again changes nothing."""
    manifest = _manifest(workload, rows, epoch=epoch, partition=partition, below=below)
    parent = root.resolve() / workload.name
    folder = parent / manifest.snapshot_id
    if not _is_whole(folder, manifest):
        parent.mkdir(parents=True, exist_ok=True)
        _write(parent, folder, manifest, rows)
    return Snapshot(manifest, folder)


def _manifest(workload: Workload, rows: list[Row], *, epoch: int, partition: int, below: int) -> SnapshotManifest:
    window, splits = workload.window, workload.splits
    times = [row.event_time for row in rows]
    manifest = SnapshotManifest(
        snapshot_id="",
        workload=workload.name,
        epoch=epoch,
        labels=list(workload.labels),
        rows=len(rows),
        rows_sha256=rows_digest(map(as_columns, rows)),
        class_counts=class_counts(workload, rows),
        labels_partition=partition,
        labels_offset=below,
        policy={
            "rows": float(window.rows),
            "quota": float(window.quota),
            "age_days": float(window.age_days),
            "validation": splits.validation,
            "certification": splits.certification,
            "test": splits.test,
        },
        teacher_models=sorted({row.teacher_model for row in rows if row.teacher_model is not None}),
        time_from=_iso(min(times)) if times else None,
        time_to=_iso(max(times)) if times else None,
    )
    return replace(manifest, snapshot_id=f"{epoch:04d}-{manifest.digest()[:16]}")


def _is_whole(folder: Path, manifest: SnapshotManifest) -> bool:
    """Tell whether the folder holds this snapshot: the manifest is written last, so its bytes say so."""
    try:
        return (folder / MANIFEST).read_bytes() == manifest.to_bytes() and (folder / ROWS).is_file()
    except OSError:
        return False


def _write(parent: Path, folder: Path, manifest: SnapshotManifest, rows: list[Row]) -> None:
    """1. write both files aside, 2. flush them to disk, 3. give the folder its name in one step."""
    aside = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=parent))
    try:
        table = pa.Table.from_pylist([as_columns(row) for row in rows], schema=_COLUMNS)
        pq.write_table(table, aside / ROWS, compression="zstd")
        (aside / MANIFEST).write_bytes(manifest.to_bytes())
        for file in (aside / ROWS, aside / MANIFEST):
            with file.open("rb") as content:
                os.fsync(content.fileno())
        aside.chmod(0o755)  # mkdtemp's 0700 would keep a job of another user out
        shutil.rmtree(folder, ignore_errors=True)  # only ever a damaged one: a whole one was recognised
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def as_columns(row: Row) -> dict[str, object]:
    """Return a row as rows.parquet has it."""
    return {
        "record_id": row.record_id,
        "cluster_id": row.cluster_id,
        "text": row.text,
        "label": row.label,
        "class_probabilities": row.class_probabilities,
        "split": row.split,
        "propensity": row.propensity,
        "provenance": row.provenance,
        "event_time": row.event_time.replace(tzinfo=UTC),
    }


def _iso(time: datetime) -> str:
    return time.replace(tzinfo=UTC).isoformat()
