"""Which snapshots of the window hold a record, and which models of this machine were trained on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from deploy.edge.process.settings import Settings
from deploy.edge.stores.object_store import ObjectStore
from schemas.errors import ContractError, Unavailable
from schemas.manifest import MANIFEST, ROWS, StudentManifest


@dataclass(frozen=True)
class HoldingSnapshot:
    """A snapshot that holds a record."""

    workload: str
    snapshot_id: str
    record_id: str
    split: str
    manifest_sha256: str


def holding(
    settings: Settings, workloads: Collection[str], ids: Collection[str]
) -> tuple[list[HoldingSnapshot], str | None]:
    """Return the workloads' snapshots that hold one of the records; and why some or all were not looked at.

    Args:
        settings: where snapshots are: below `artefacts_dir`, and in the object store if one is named.
        workloads: whose snapshots are looked at.
        ids: of the records.

    Raises:
        SettingsError: the object store's URL cannot be used.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return [], "pyarrow is not installed here; the extra `millrace[streams]` has it"
    folder = settings.artefacts_dir / "snapshots"
    store = ObjectStore(settings.snapshots_url) if settings.snapshots_url else None
    if store is None and not folder.is_dir():
        return [], f"{folder} is not on this machine (MILLRACE_ARTEFACTS_DIR)"
    found = [held for place in _whole(folder, workloads) for held in _in_rows(place, ids)]
    try:
        for place in _stored(store, workloads) if store else ():
            found += _in_rows(place, ids)
    except Unavailable as error:
        return found, str(error)
    return found, None


@dataclass(frozen=True)
class Trained:
    """A model and the snapshot it was trained on."""

    workload: str
    model_version: str
    snapshot_id: str
    folder: str


def trained_on(artefacts: Path, workload: str, snapshots: Collection[HoldingSnapshot]) -> list[Trained]:
    """Return the workload's models that were trained on one of the snapshots.

    Args:
        artefacts: holds adapters/<workload>/<model version>/.
        workload: whose models are looked at.
        snapshots: of the workload.

    Raises:
        ContractError: a model's manifest cannot be read.
    """
    digests = {held.manifest_sha256: held.snapshot_id for held in snapshots}
    found = []
    for file in sorted((artefacts / "adapters" / workload).glob(f"[!.]*/{MANIFEST}")):
        try:
            manifest = StudentManifest.from_bytes(file.read_bytes())
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ContractError(f"{file} is no model's manifest: {error}") from error
        if manifest.snapshot_sha256 in digests:
            found.append(Trained(workload, manifest.model_version, digests[manifest.snapshot_sha256], str(file.parent)))
    return found


@dataclass(frozen=True)
class _CompleteSnapshot:
    """A complete snapshot: its manifest is written last."""

    workload: str
    snapshot_id: str
    manifest: bytes
    rows: Callable[[], AbstractContextManager[Path | BinaryIO]]


def _in_rows(place: _CompleteSnapshot, ids: Collection[str]) -> list[HoldingSnapshot]:
    import pyarrow.parquet as pq

    with place.rows() as content:
        rows = pq.read_table(content, columns=["record_id", "split"], filters=[("record_id", "in", sorted(ids))])
    digest = sha256(place.manifest).hexdigest()
    return [
        HoldingSnapshot(place.workload, place.snapshot_id, row["record_id"], row["split"], digest)
        for row in rows.to_pylist()
    ]


def _whole(folder: Path, workloads: Collection[str]) -> Iterator[_CompleteSnapshot]:
    for mine in sorted(folder.glob("*")):  # a name out of a record is only ever compared: it cannot lead elsewhere
        for file in sorted(mine.glob(f"[!.]*/{MANIFEST}")) if mine.name in workloads else ():
            yield _CompleteSnapshot(
                mine.name, file.parent.name, file.read_bytes(), partial(_here, file.with_name(ROWS))
            )


def _here(rows: Path) -> AbstractContextManager[Path]:
    return nullcontext(rows)


def _stored(store: ObjectStore, workloads: Collection[str]) -> Iterator[_CompleteSnapshot]:
    for workload, snapshot_id, manifest in store.manifests(workloads):
        yield _CompleteSnapshot(workload, snapshot_id, manifest, partial(store.rows, workload, snapshot_id))
