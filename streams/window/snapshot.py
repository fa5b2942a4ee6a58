"""An immutable snapshot of the window: rows.parquet and manifest.json in a folder named after their content.

The digest covers canonical rows in the order of their ids, so that it depends neither on Parquet's encoding nor on how
the batches fell. The folder appears at once and whole; one that no request names is garbage and harmless. Where there
is an object store, the finished folder goes there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from deploy.edge.stores.object_store import ObjectStore
from schemas.manifest import MANIFEST, ROWS, SnapshotManifest, rows_digest
from schemas.records import Split
from schemas.rules.statistics.effective_n import effective_n
from schemas.workload import Workload
from streams.window.paraphrases import PARAPHRASE
from streams.window.rows import Row, class_counts

_UNFINISHED: Final = ".unfinished-"
_ABANDONED: Final = timedelta(hours=1)
_COLUMNS: Final = pa.schema(
    [
        ("record_id", pa.string()),
        ("cluster_id", pa.string()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("class_probabilities", pa.list_(pa.float64())),
        ("split", pa.string()),
        ("propensity", pa.float64()),
        ("provenance", pa.string()),
        ("event_time", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True)
class WrittenSnapshot:
    """A snapshot as written."""

    manifest: SnapshotManifest
    uri: str  # an absolute path, or a URL of the object store


def write(
    root: Path,
    workload: Workload,
    rows: list[Row],
    *,
    epoch: int,
    partition: int,
    below: int,
    earlier: Sequence[int] = (),
    store: ObjectStore | None = None,
) -> WrittenSnapshot:
    """Write the snapshot of an epoch under root/<workload>/; writing the same again changes nothing.

    Args:
        root: the folder of all snapshots.
        workload: the rows'.
        rows: as `select` gave them.
        epoch: of the request that will name it.
        partition: of `labels`.
        below: the offset below which rows were considered.
        earlier: that offset of each earlier request.
        store: where the finished folder goes, away from `root`; None: it stays.

    Raises:
        OSError: the disk does not take it. Unavailable: the store does not.
    """
    columns = [as_columns(row) for row in rows]
    manifest = _manifest(workload, rows, columns, epoch=epoch, partition=partition, below=below, earlier=earlier)
    parent = root.resolve() / workload.name
    folder = parent / manifest.snapshot_id
    if not _is_whole(folder, manifest):
        parent.mkdir(parents=True, exist_ok=True)
        _write(parent, folder, manifest, columns)
    if store is None:
        return WrittenSnapshot(manifest, str(folder))
    uri = store.put(folder, f"{workload.name}/{manifest.snapshot_id}")
    shutil.rmtree(folder, ignore_errors=True)
    return WrittenSnapshot(manifest, uri)


def sweep(root: Path, now: datetime) -> list[Path]:
    """Remove what kills left half-written more than an hour ago, and return it; a younger one may be unfinished."""
    removed = []
    for folder in root.glob(f"*/{_UNFINISHED}*"):
        if now.timestamp() - folder.stat().st_mtime > _ABANDONED.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def times_used(rows: Sequence[Row], earlier: Sequence[int]) -> int:
    """Return how many requests have used the oldest test row, this one included."""
    oldest = min((row.label_offset for row in rows if row.split == Split.TEST), default=None)
    return 1 if oldest is None else 1 + sum(offset > oldest for offset in earlier)


def _manifest(
    workload: Workload,
    rows: list[Row],
    columns: list[dict[str, object]],
    *,
    epoch: int,
    partition: int,
    below: int,
    earlier: Sequence[int],
) -> SnapshotManifest:
    times = sorted(row.event_time for row in rows)
    manifest = SnapshotManifest(
        snapshot_id="",
        workload=workload.name,
        epoch=epoch,
        labels=list(workload.labels),
        rows=len(rows),
        rows_sha256=rows_digest(columns),
        class_counts=class_counts(workload, rows),
        labels_partition=partition,
        labels_offset=below,
        policy=_policy(workload),
        teacher_models=sorted({row.teacher_model for row in rows if row.teacher_model is not None}),
        prompts=sorted({row.prompt_sha256 for row in rows if row.prompt_sha256 is not None}),
        time_from=_iso(times[0]) if times else None,
        time_to=_iso(times[-1]) if times else None,
        effective_n={
            split.value: effective_n(
                1 / row.propensity for row in rows if row.split == split and row.provenance != PARAPHRASE
            )
            for split in Split
        },
        test_times_used=times_used(rows, earlier),
        columns={column.name: str(column.type) for column in _COLUMNS},
    )
    return replace(manifest, snapshot_id=f"{epoch:04d}-{manifest.digest()[:16]}")


def _policy(workload: Workload) -> dict[str, float]:
    window, splits = workload.window, workload.splits
    policy = {
        "rows": float(window.rows),
        "quota": float(window.quota),
        "cluster_rows": float(window.cluster_rows),
        "age_days": float(window.age_days),
        "similarity": workload.duplicates.similarity,
        "validation": splits.validation,
        "certification": splits.certification,
        "test": splits.test,
    }
    if window.source_rows is not None:
        policy["source_rows"] = float(window.source_rows)
    if workload.augment.paraphrases:
        policy["augment_rows"] = float(workload.augment.rows)
    return policy


def _is_whole(folder: Path, manifest: SnapshotManifest) -> bool:
    """Return whether the folder holds this snapshot: the manifest is written last, so its bytes say so."""
    try:
        return (folder / MANIFEST).read_bytes() == manifest.to_bytes() and (folder / ROWS).is_file()
    except OSError:
        return False


def _write(parent: Path, folder: Path, manifest: SnapshotManifest, columns: list[dict[str, object]]) -> None:
    """1. write both files aside, 2. flush them to disk, 3. give the folder its name in one step."""
    aside = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=parent))
    try:
        table = pa.Table.from_pylist(columns, schema=_COLUMNS)
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
