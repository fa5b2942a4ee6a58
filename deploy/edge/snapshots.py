"""Which snapshots of the window hold a record, and which models were trained on them, where this machine has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from schemas.errors import ContractError
from schemas.manifest import MANIFEST, ROWS, AdapterManifest


@dataclass(frozen=True)
class Held:
    """A snapshot that holds a record."""

    workload: str
    snapshot_id: str
    record_id: str
    split: str


def holding(folder: Path, workloads: Collection[str], ids: Collection[str]) -> tuple[list[Held], str | None]:
    """Return the workloads' snapshots that hold one of the records; or why none could be looked at.

    Args:
        folder: holds <workload>/<snapshot id>/.
        workloads: whose snapshots are looked at.
        ids: of the records.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError:
        return [], "pyarrow is not installed here; the extra `millrace[streams]` has it"
    if not folder.is_dir():
        return [], f"{folder} is not on this machine (MILLRACE_ARTEFACTS_DIR)"
    found = []
    for workload, snapshot in _whole(folder, workloads):
        rows = pq.read_table(
            snapshot / ROWS, columns=["record_id", "split"], filters=[("record_id", "in", sorted(ids))]
        )
        found += [Held(workload, snapshot.name, row["record_id"], row["split"]) for row in rows.to_pylist()]
    return found, None


@dataclass(frozen=True)
class Trained:
    """A model and the snapshot it was trained on."""

    workload: str
    model_version: str
    snapshot_id: str
    folder: str


def trained_on(artefacts: Path, workload: str, snapshot_ids: Collection[str]) -> list[Trained]:
    """Return the workload's models that were trained on one of the snapshots.

    Args:
        artefacts: holds snapshots/<workload>/<snapshot id>/ and adapters/<workload>/<model version>/.
        workload: whose models are looked at.
        snapshot_ids: of its snapshots.

    Raises:
        ContractError: a model's manifest cannot be read.
    """
    snapshots = artefacts / "snapshots" / workload
    digests = {sha256((snapshots / one / MANIFEST).read_bytes()).hexdigest(): one for one in snapshot_ids}
    found = []
    for file in sorted((artefacts / "adapters" / workload).glob(f"[!.]*/{MANIFEST}")):
        try:
            manifest = AdapterManifest.from_bytes(file.read_bytes())
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ContractError(f"{file} is no model's manifest: {error}") from error
        if manifest.snapshot_sha256 in digests:
            found.append(Trained(workload, manifest.model_version, digests[manifest.snapshot_sha256], str(file.parent)))
    return found


def _whole(folder: Path, workloads: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Yield the snapshots that are complete: their manifest is written last."""
    for mine in sorted(folder.iterdir()):  # a name out of a record is only ever compared: it cannot lead elsewhere
        if mine.name in workloads:
            yield from ((mine.name, file.parent) for file in sorted(mine.glob(f"[!.]*/{MANIFEST}")))
