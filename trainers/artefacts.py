"""Students as immutable folders: safetensors, probes and a canonical manifest, under a name that ends in their digest.

Steps of a publication, in this order: 1 the student's files, its probes and its manifest into a temporary folder;
2 read them from there as a server does; 3 compare with the trained student (parity); 4 rename. Nothing is pickled,
nothing is ever overwritten.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from deploy.edge.stores.artefacts import PROBES, read_artefact
from schemas.errors import ContractError
from schemas.job import JobSpec
from schemas.manifest import MANIFEST, FileDigest, StudentManifest, canonical
from trainers.students import ladder
from trainers.students.protocol import FrozenBase, SavedStudent, ServedRung

PROBE_TEXTS: Final = 16
_PARITY: Final = 1e-3  # largest difference of a probability in fp32
_PARITY_TEXTS: Final = 100
_RUNTIME: Final = ("torch", "transformers", "peft", "safetensors")


@dataclass(frozen=True)
class Published:
    """A student in its final place."""

    folder: Path
    manifest: StudentManifest


def publish(student: ServedRung, job: JobSpec, base: FrozenBase, texts: Sequence[str], artefacts: Path) -> Published:
    """Write the student, prove that it answers from disk as it did in training, and move it to its place.

    Args:
        student: a trained one.
        job: what it was trained for.
        base: its base model.
        texts: test texts: the first 16 become probes, the first 100 prove parity.
        artefacts: the root that students are kept under.

    Raises:
        ContractError: the student answers differently from disk.
    """
    line = artefacts.resolve() / "adapters" / job.workload
    line.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=line))
    try:
        said = student.probabilities(texts[:_PARITY_TEXTS])
        saved = student.save()
        probes = [
            {"text": text, "probabilities": row.tolist()}
            for text, row in zip(texts[:PROBE_TEXTS], said[:PROBE_TEXTS], strict=True)
        ]
        files = dict(saved.files) | {PROBES: canonical({"probes": probes})}
        manifest = _manifest(student, saved, job, base, [_digest(name, data) for name, data in files.items()])
        for name, data in {**files, MANIFEST: manifest.to_bytes()}.items():
            _write(temporary / name, data)
        served = ladder.load(read_artefact(str(temporary), line), base).classify(texts[:_PARITY_TEXTS])
        gap = float(np.abs(served.probabilities - said).max())
        if not gap <= _PARITY:
            raise ContractError(f"the student answers differently from disk: probabilities differ by {gap:.4f}")
        return Published(_move(temporary, line / manifest.model_version), manifest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def version_of(manifest: StudentManifest) -> str:
    """Return the only name a manifest may carry: workload, epoch, and the digest over everything else in it."""
    epoch = manifest.model_version.removeprefix(f"{manifest.workload}-e").partition("-")[0]
    return f"{manifest.workload}-e{epoch}-{replace(manifest, model_version=f'e{epoch}').digest()[:12]}"


def _manifest(
    student: ServedRung, saved: SavedStudent, job: JobSpec, base: FrozenBase, files: list[FileDigest]
) -> StudentManifest:
    manifest = StudentManifest(
        model_version=f"{job.workload}-e{job.epoch}-",
        workload=job.workload,
        labels=job.labels,
        form=student.form,
        base_model=base.name if student.on_base else "",
        base_sha256=base.sha256 if student.on_base else "",
        files=files,
        snapshot_sha256=job.snapshot_sha256,
        seed=job.student.seed,
        runtime={name: version(name) for name in _RUNTIME},
        part=saved.part,
    )
    return replace(manifest, model_version=version_of(manifest))


def _digest(name: str, data: bytes) -> FileDigest:
    return FileDigest(path=name, sha256=sha256(data).hexdigest(), bytes=len(data))


def _move(temporary: Path, place: Path) -> Path:
    """Rename into place; a folder that is there already has the same digest in its name and stays."""
    if not place.exists():
        temporary.chmod(0o755)
        try:
            temporary.rename(place)
        except OSError:
            if not place.exists():
                raise
    return place


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
