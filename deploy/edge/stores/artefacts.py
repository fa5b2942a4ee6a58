"""A student's folder, read once into memory and checked before anything in it is believed.

The bytes that are hashed are the bytes that are parsed, so nobody can change a file between the check and the use.
Only safetensors and JSON are read, nothing is unpickled, and no path leads out of the root: the folder is opened
component by component without following links.
It does not judge whether the student is any good, and it does not know who wrote the manifest: a caller that has the
manifest's digest from a promotion event passes it in. What only students of one form have is checked by that form.
Standard library only: jobs on bare GPU machines use it.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from schemas.errors import ContractError
from schemas.manifest import MANIFEST, StudentManifest

PROBES: Final = "probes.json"
_FORMAT: Final = "millrace-adapter/1"
_SUFFIXES: Final = (".json", ".safetensors")
_FILES: Final = 16  # a folder with more is no student
_JSON_BYTES: Final = 4 << 20
_WEIGHT_BYTES: Final = 256 << 20  # a rank-16 adapter of a 22M base has 2.7 MB


class StudentNotThere(ContractError):
    """No student's folder at this path."""


@dataclass(frozen=True)
class Probe:
    """A text and what the trainer's student said about it."""

    text: str
    probabilities: list[float]


@dataclass(frozen=True)
class StudentArtefact:
    """A student whose every byte has the digest its manifest names."""

    manifest: StudentManifest
    files: Mapping[str, bytes]
    probes: list[Probe]


def read_artefact(
    path: str, root: Path, *, name: str | None = None, manifest_sha256: str | None = None
) -> StudentArtefact:
    """Read and check the student at an absolute path inside the root.

    Args:
        path: of its folder.
        root: no folder outside of it is read.
        name: the model version it must be; None: any.
        manifest_sha256: the digest its manifest must have; None: any.

    Raises:
        StudentNotThere: the path is inside the root, but no folder is there.
        ContractError: path, files, digests or manifest are not as they must be.
    """
    files = _read_folder(path, root)
    if MANIFEST not in files:
        raise ContractError(f"no {MANIFEST} in the folder {path!r}")
    digest = sha256(files[MANIFEST]).hexdigest()
    if manifest_sha256 not in (None, digest):
        raise ContractError(f"{MANIFEST} has SHA-256 {digest}, not {manifest_sha256} as asked for")
    manifest = _manifest(files[MANIFEST])
    if name not in (None, manifest.model_version):
        raise ContractError(f"the manifest is of {manifest.model_version!r}, not of {name!r}")
    _check_files(manifest, files)
    return StudentArtefact(manifest, files, _probes(files[PROBES], len(manifest.labels)))


def json_object(name: str, data: bytes) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ContractError: it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ContractError(f"{name} is no JSON object")
    return value


def _manifest(data: bytes) -> StudentManifest:
    try:
        manifest = StudentManifest.from_bytes(data)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ContractError(f"{MANIFEST} cannot be read: {error!r}") from error
    if manifest.format != _FORMAT:
        raise ContractError(f"format is {manifest.format!r}; read here is {_FORMAT!r}")
    labels = manifest.labels
    if not isinstance(labels, list) or not all(isinstance(one, str) and one for one in labels):
        raise ContractError("labels must be a list of names")
    if not all(isinstance(file.path, str) for file in manifest.files):
        raise ContractError("files must be listed by their names")
    if not 2 <= len(labels) <= 1_000 or len(set(labels)) != len(labels):
        raise ContractError("labels must be 2 to 1000 different names")
    return manifest


def _check_files(manifest: StudentManifest, files: Mapping[str, bytes]) -> None:
    """Compare the folder's files with the manifest's list, both ways, by size and SHA-256."""
    listed = {file.path: file for file in manifest.files}
    if PROBES not in listed:
        raise ContractError(f"the manifest does not list {PROBES}: the student cannot be proven")
    if stray := files.keys() - listed.keys() - {MANIFEST}:
        raise ContractError(f"the manifest does not list {', '.join(sorted(stray))}")
    for name, file in listed.items():
        if name not in files:
            raise ContractError(f"{name} is listed in the manifest, but not there")
        digest = sha256(files[name]).hexdigest()
        if len(files[name]) != file.bytes or digest != file.sha256:
            raise ContractError(
                f"{name} has {len(files[name])} bytes and SHA-256 {digest}; "
                f"the manifest says {file.bytes} and {file.sha256}"
            )


def _probes(data: bytes, classes: int) -> list[Probe]:
    try:
        probes = [
            Probe(str(one["text"]), [float(p) for p in one["probabilities"]])
            for one in json_object(PROBES, data)["probes"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{PROBES} cannot be read: {error!r}") from error
    if not probes or any(len(probe.probabilities) != classes for probe in probes):
        raise ContractError(f"{PROBES} must hold at least one text, with {classes} probabilities each")
    return probes


def _read_folder(path: str, root: Path) -> dict[str, bytes]:
    """Read every file of the folder, without following a link anywhere below the root."""
    if not Path(path).is_absolute() or "\x00" in path:
        raise ContractError(f"the path {path!r} is not absolute")
    real_root, real = root.resolve(), Path(os.path.realpath(path))
    if real == real_root or not real.is_relative_to(real_root):
        raise ContractError(f"the path {path!r} is not inside the root {real_root}")
    try:
        folder = _open_below(real_root, real.relative_to(real_root).parts)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StudentNotThere(f"no student at {path!r}") from error
    except OSError as error:
        raise ContractError(f"the folder {path!r} cannot be opened: {error.strerror}") from error
    try:
        return _read_files(folder, os.listdir(folder))  # noqa: PTH208 - by descriptor, not by path
    except OSError as error:
        raise ContractError(f"the folder {path!r} cannot be read: {error.strerror}") from error
    finally:
        os.close(folder)


def _open_below(root: Path, parts: Collection[str]) -> int:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in parts:
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _read_files(folder: int, names: Collection[str]) -> dict[str, bytes]:
    if len(names) > _FILES:
        raise ContractError(f"the folder holds {len(names)} files; a student has at most {_FILES}")
    for name in sorted(names):
        if not name.endswith(_SUFFIXES):
            raise ContractError(f"the folder holds {name!r}; only safetensors and JSON files are loaded")
    return {name: _read_file(folder, name) for name in sorted(names)}


def _read_file(folder: int, name: str) -> bytes:
    limit = _JSON_BYTES if name.endswith(".json") else _WEIGHT_BYTES
    try:
        # Without O_NONBLOCK a named pipe in the folder would hold the server for ever.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise ContractError(f"{name} is a link or cannot be opened: {error.strerror}") from error
    with os.fdopen(file, "rb") as content:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ContractError(f"{name} is no regular file")
        data = content.read(limit + 1)
    if len(data) > limit:
        raise ContractError(f"{name} is larger than {limit} bytes")
    return data
