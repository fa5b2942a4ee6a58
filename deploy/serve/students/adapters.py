"""An adapter folder, read once into memory and checked before anything in it is believed.

The bytes that are hashed are the bytes that are parsed, so nobody can change a file between the check and the use.
Only safetensors and JSON are read, nothing is unpickled, and no path leads out of the root: the folder is opened
component by component without following links.
It does not judge whether the adapter is any good, and it does not know who wrote the manifest: a caller that has the
manifest's digest from a promotion event passes it in.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from schemas.errors import ContractError
from schemas.manifest import MANIFEST, AdapterManifest

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
PROBES: Final = "probes.json"
_REQUIRED: Final = frozenset({CONFIG, WEIGHTS, PROBES})
_SUFFIXES: Final = (".json", ".safetensors")
_FILES: Final = 16  # a folder with more is no adapter
_JSON_BYTES: Final = 4 << 20
_WEIGHT_BYTES: Final = 256 << 20  # a rank-16 adapter of a 22M base has 2.7 MB
_HEADER_BYTES: Final = 1 << 20
_TEXT_OF: Final = {"format": "millrace-adapter/1", "form": "sequence-classification", "pooling": "mean"}
# peft's variants change the forward pass; only plain LoRA is what the trainer evaluated and vLLM serves.
_PLAIN: Final = (
    "use_dora", "use_rslora", "use_qalora", "use_bdlora", "rank_pattern", "alpha_pattern", "layer_replication",
    "layers_to_transform", "layers_pattern", "lora_bias", "trainable_token_indices", "target_parameters",
    "alora_invocation_tokens", "arrow_config", "fan_in_fan_out",
)  # fmt: skip


class AdapterRefused(ContractError):
    """An adapter that is not what it must be; the message says what differs."""


class AdapterNotThere(ContractError):
    """No adapter folder at this path."""


@dataclass(frozen=True)
class Probe:
    """A text and what the trainer's student said about it."""

    text: str
    probabilities: list[float]


@dataclass(frozen=True)
class CheckedAdapter:
    """An adapter whose every byte has the digest its manifest names."""

    manifest: AdapterManifest
    weights: bytes
    probes: list[Probe]


def read_adapter(
    path: str, root: Path, name: str, base_sha256: str, manifest_sha256: str | None = None
) -> CheckedAdapter:
    """Read and check the adapter at an absolute path inside the root.

    Raises:
        AdapterNotThere: the path is inside the root, but no folder is there.
        AdapterRefused: path, files, digests, base or manifest are not as they must be.
    """
    files = _read_folder(path, root)
    if MANIFEST not in files:
        raise AdapterRefused(f"no {MANIFEST} in the adapter's folder")
    digest = sha256(files[MANIFEST]).hexdigest()
    if manifest_sha256 is not None and manifest_sha256 != digest:
        raise AdapterRefused(f"{MANIFEST} has SHA-256 {digest}, not {manifest_sha256} as asked for")
    manifest = parse_manifest(files[MANIFEST])
    if manifest.model_version != name:
        raise AdapterRefused(f"the manifest is of {manifest.model_version!r}, not of {name!r}")
    if manifest.base_sha256 != base_sha256:
        raise AdapterRefused(
            f"it stands on base {manifest.base_sha256}, this server has {base_sha256}; serve {manifest.base_model}"
        )
    check_files(manifest, files)
    check_config(manifest, files[CONFIG])
    check_header(files[WEIGHTS])
    return CheckedAdapter(manifest, files[WEIGHTS], parse_probes(files[PROBES], len(manifest.labels)))


def parse_manifest(data: bytes) -> AdapterManifest:
    """Return the manifest, every field of the type and kind this server can serve.

    Raises:
        AdapterRefused: it is no manifest, or of a form that is not served here.
    """
    try:
        manifest = AdapterManifest.from_bytes(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AdapterRefused(f"{MANIFEST} cannot be read: {error}") from error
    for field, wanted in _TEXT_OF.items():
        if getattr(manifest, field) != wanted:
            raise AdapterRefused(f"{field} is {getattr(manifest, field)!r}; this server serves {wanted!r}")
    for field in ("labels", "target_modules", "modules_to_save"):
        names = getattr(manifest, field)
        if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
            raise AdapterRefused(f"{field} must be a list of names")
    if not 2 <= len(manifest.labels) <= 1_000 or len(set(manifest.labels)) != len(manifest.labels):
        raise AdapterRefused("labels must be 2 to 1000 different names")
    for field in ("max_tokens", "rank"):
        value = getattr(manifest, field)
        if type(value) is not int or not 1 <= value <= 8_192:
            raise AdapterRefused(f"{field} is {value!r}; it must be a whole number from 1 to 8192")
    for field in ("temperature", "alpha"):
        value = getattr(manifest, field)
        if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
            raise AdapterRefused(f"{field} is {value!r}; it must be a number above 0")
    return manifest


def check_files(manifest: AdapterManifest, files: Mapping[str, bytes]) -> None:
    """Compare the folder's files with the manifest's list, both ways, by size and SHA-256.

    Raises:
        AdapterRefused: a file is missing, not listed, or differs.
    """
    listed = {file.path: file for file in manifest.files}
    if missing := _REQUIRED - listed.keys():
        raise AdapterRefused(f"the manifest does not list {', '.join(sorted(missing))}")
    if stray := files.keys() - listed.keys() - {MANIFEST}:
        raise AdapterRefused(f"the manifest does not list {', '.join(sorted(stray))}")
    for name, file in listed.items():
        if name not in files:
            raise AdapterRefused(f"{name} is listed in the manifest, but not there")
        digest = sha256(files[name]).hexdigest()
        if len(files[name]) != file.bytes or digest != file.sha256:
            raise AdapterRefused(
                f"{name} has {len(files[name])} bytes and SHA-256 {digest}; "
                f"the manifest says {file.bytes} and {file.sha256}"
            )


def check_config(manifest: AdapterManifest, data: bytes) -> None:
    """Compare peft's configuration with the manifest: plain LoRA, with the manifest's numbers.

    Raises:
        AdapterRefused: it is another kind of adapter, or says other numbers.
    """
    config = _json_object(CONFIG, data)
    wanted = {"peft_type": "LORA", "r": manifest.rank, "lora_alpha": manifest.alpha, "bias": "none"}
    for field, value in wanted.items():
        if config.get(field) != value:
            raise AdapterRefused(f"{CONFIG}: {field} is {config.get(field)!r}, not {value!r}")
    for field in _PLAIN:
        if config.get(field):
            raise AdapterRefused(f"{CONFIG}: {field} is set; only plain LoRA is served")
    for field in ("target_modules", "modules_to_save"):
        # peft adds "score" beside "classifier" on its own, which names no module of an encoder.
        said, listed = config.get(field), set(getattr(manifest, field))
        if not isinstance(said, list) or not listed <= set(said) <= listed | {"score", "classifier"}:
            raise AdapterRefused(f"{CONFIG}: {field} is {said!r}, the manifest says {sorted(listed)}")


def check_header(weights: bytes) -> None:
    """Refuse safetensors bytes whose header is cut off or unreasonably large, before a parser sees them.

    Raises:
        AdapterRefused: it is no safetensors file of this server's size.
    """
    length = int.from_bytes(weights[:8], "little")
    if len(weights) < 8 or not 2 <= length <= min(_HEADER_BYTES, len(weights) - 8) or weights[8:9] != b"{":
        raise AdapterRefused(f"{WEIGHTS} is no safetensors file (or its header is above {_HEADER_BYTES} bytes)")


def parse_probes(data: bytes, classes: int) -> list[Probe]:
    """Return the probes.

    Raises:
        AdapterRefused: there is none, or one has not a probability per class.
    """
    try:
        probes = [
            Probe(str(one["text"]), [float(p) for p in one["probabilities"]])
            for one in _json_object(PROBES, data)["probes"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise AdapterRefused(f"{PROBES} cannot be read: {error!r}") from error
    if not probes or any(len(probe.probabilities) != classes for probe in probes):
        raise AdapterRefused(f"{PROBES} must hold at least one text, with {classes} probabilities each")
    return probes


def _json_object(name: str, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AdapterRefused(f"{name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise AdapterRefused(f"{name} is no JSON object")
    return value


def _read_folder(path: str, root: Path) -> dict[str, bytes]:
    """Read every file of the folder, without following a link anywhere below the root."""
    if not Path(path).is_absolute() or "\x00" in path:
        raise AdapterRefused(f"the path {path!r} is not absolute")
    real_root, real = root.resolve(), Path(os.path.realpath(path))
    if real == real_root or not real.is_relative_to(real_root):
        raise AdapterRefused(f"the path {path!r} is not inside the root {real_root}")
    try:
        folder = _open_below(real_root, real.relative_to(real_root).parts)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AdapterNotThere(f"no adapter folder at {path!r}") from error
    except OSError as error:
        raise AdapterRefused(f"the folder {path!r} cannot be opened: {error.strerror}") from error
    try:
        return _read_files(folder, os.listdir(folder))  # noqa: PTH208 - by descriptor, not by path
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
        raise AdapterRefused(f"the folder holds {len(names)} files; an adapter has at most {_FILES}")
    for name in sorted(names):
        if not name.endswith(_SUFFIXES):
            raise AdapterRefused(f"the folder holds {name!r}; only safetensors and JSON files are loaded")
    return {name: _read_file(folder, name) for name in sorted(names)}


def _read_file(folder: int, name: str) -> bytes:
    limit = _JSON_BYTES if name.endswith(".json") else _WEIGHT_BYTES
    try:
        # Without O_NONBLOCK a named pipe in the folder would hold the server for ever.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise AdapterRefused(f"{name} is a link or cannot be opened: {error.strerror}") from error
    with os.fdopen(file, "rb") as content:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise AdapterRefused(f"{name} is no regular file")
        data = content.read(limit + 1)
    if len(data) > limit:
        raise AdapterRefused(f"{name} is larger than {limit} bytes")
    return data
