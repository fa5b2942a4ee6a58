"""Adapters as immutable folders: safetensors, probes and a canonical manifest, under a name that ends in their digest.

Steps of a publication, in this order: 1 weights and configuration into a temporary folder; 2 reload them from there as
a server would; 3 compare with the trained student (parity); 4 probes and manifest; 5 rename. Nothing is pickled,
nothing is ever overwritten. Plain LoRA and rsLoRA only: other forms are not served.
"""

from __future__ import annotations

import json
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
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from deploy.edge.stores.base_models import base_digest
from schemas.arrays import Floats
from schemas.errors import ContractError
from schemas.job import JobSpec
from schemas.manifest import MANIFEST, AdapterManifest, FileDigest, canonical
from schemas.rules.statistics.calibration import to_probabilities
from trainers.students.encoder import HEAD, POOLING, TARGETS, EncoderStudent, load_student

PROBES: Final = "probes.json"
PROBE_TEXTS: Final = 16
_PARITY: Final = 1e-3  # largest difference of a probability in fp32
_PARITY_TEXTS: Final = 100
_WEIGHTS: Final = "adapter_model.safetensors"
_CONFIG: Final = "adapter_config.json"
_RUNTIME: Final = ("torch", "transformers", "peft", "safetensors")


@dataclass(frozen=True)
class Published:
    """An adapter in its final place."""

    folder: Path
    manifest: AdapterManifest


def publish_adapter(
    student: EncoderStudent, job: JobSpec, base: Path, texts: Sequence[str], artefacts: Path
) -> Published:
    """Write the adapter, prove that it answers from disk as it did in training, and move it to its place.

    Args:
        student: a trained student.
        job: what it was trained for.
        base: the folder of its base model.
        texts: test texts: the first 16 become probes, the first 100 prove parity.
        artefacts: the root that adapters are kept under.

    Raises:
        ContractError: the adapter answers differently from disk.
    """
    line = artefacts.resolve() / "adapters" / job.workload
    line.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=line))
    try:
        _write_weights(student, job, temporary)
        found = _check_parity(student, job, temporary, base, list(texts[:_PARITY_TEXTS]))
        probes = [
            {"text": text, "probabilities": [float(value) for value in row]}
            for text, row in zip(texts[:PROBE_TEXTS], found[:PROBE_TEXTS], strict=True)
        ]
        _write(temporary / PROBES, canonical({"probes": probes}))
        manifest = _manifest(student, job, base_digest(base), temporary)
        _write(temporary / MANIFEST, manifest.to_bytes())
        return Published(_move(temporary, line / manifest.model_version), manifest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def version_of(manifest: AdapterManifest) -> str:
    """Return the only name a manifest may carry: workload, epoch, and the digest over everything else in it."""
    epoch = manifest.model_version.removeprefix(f"{manifest.workload}-e").partition("-")[0]
    return f"{manifest.workload}-e{epoch}-{replace(manifest, model_version=f'e{epoch}').digest()[:12]}"


def verify_adapter(folder: Path, manifest_sha256: str) -> AdapterManifest:
    """Return the manifest of an adapter whose every file is what it says.

    Raises:
        ContractError: a file is missing or differs.
    """
    try:
        manifest = AdapterManifest.from_bytes((folder / MANIFEST).read_bytes())
        if manifest.digest() != manifest_sha256:
            raise ContractError(f"{folder / MANIFEST} has the digest {manifest.digest()}, expected {manifest_sha256}")
        for file in manifest.files:
            if _digest(folder, file.path) != file:
                raise ContractError(f"{folder / file.path} is not what its manifest says")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ContractError(f"{folder} holds no adapter that can be read: {error}") from error
    return manifest


def _write_weights(student: EncoderStudent, job: JobSpec, folder: Path) -> None:
    model = student.network.model
    state = {name: value.detach().cpu().contiguous() for name, value in get_peft_model_state_dict(model).items()}
    save_file(state, folder / _WEIGHTS)
    config = model.peft_config["default"]
    config.base_model_name_or_path, config.inference_mode = job.student.base_model, True
    config.save_pretrained(folder)
    values = json.loads((folder / _CONFIG).read_text())
    values |= {"target_modules": sorted(TARGETS), "modules_to_save": [HEAD]}  # sets have no order, digests need one
    _write(folder / _CONFIG, canonical(values))


def _check_parity(student: EncoderStudent, job: JobSpec, folder: Path, base: Path, texts: list[str]) -> Floats:
    """Return the probabilities of the adapter as it loads from disk, or refuse it."""
    network = load_student(folder, base, len(job.labels), job.student.max_tokens, student.network.device)
    served = to_probabilities(network.over(texts, network.logits), student.temperature)
    gap = float(np.abs(served - student.probabilities(texts)).max())
    if not gap <= _PARITY:
        raise ContractError(f"the adapter answers differently from disk: probabilities differ by {gap:.4f}")
    return served


def _manifest(student: EncoderStudent, job: JobSpec, base_sha256: str, folder: Path) -> AdapterManifest:
    manifest = AdapterManifest(
        model_version=f"{job.workload}-e{job.epoch}-",
        workload=job.workload,
        labels=job.labels,
        form="sequence-classification",
        base_model=job.student.base_model,
        base_sha256=base_sha256,
        pooling=POOLING,
        max_tokens=job.student.max_tokens,
        temperature=student.temperature,
        rank=job.student.rank,
        alpha=float(student.network.model.peft_config["default"].lora_alpha),
        target_modules=sorted(TARGETS),
        modules_to_save=[HEAD],
        files=[_digest(folder, name) for name in (_CONFIG, _WEIGHTS, PROBES)],
        snapshot_sha256=job.snapshot_sha256,
        seed=job.student.seed,
        runtime={name: version(name) for name in _RUNTIME},
    )
    return replace(manifest, model_version=version_of(manifest))


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


def _digest(folder: Path, path: str) -> FileDigest:
    data = (folder / path).read_bytes()
    return FileDigest(path=path, sha256=sha256(data).hexdigest(), bytes=len(data))


def device_name(device: torch.device) -> str:
    """Return the hardware a model was trained on, as a person would name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu x{torch.get_num_threads()}"
