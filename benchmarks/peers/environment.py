"""The peers' environment: `.venv-peers` beside `.venv`, from the hash-locked list, made when the list has changed.

Needed by `benchmarks.streams` alone. A change of requirements.in is locked by

    uv pip compile benchmarks/peers/requirements.in -o benchmarks/peers/requirements.lock \
        --generate-hashes --no-annotate --no-header --universal --python-version 3.11
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from schemas.errors import Unavailable

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = Path(__file__).with_name("requirements.lock")
FOLDER: Final = ROOT / ".venv-peers"


def versions() -> str:
    """Return the peers' names and versions, as locked."""
    return ", ".join(re.findall(r"^(?:bytewax|quixstreams)==[\w.]+", LOCK.read_text(), re.MULTILINE))


def python() -> Path:
    """Return the interpreter of the peers' environment; a first call makes it, in about a minute.

    Raises:
        Unavailable: uv is not there, or the packages cannot be had.
    """
    found, stamp = FOLDER / "bin" / "python", FOLDER / ".installed"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return found
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if uv is None:
        raise Unavailable("the peers' environment needs uv: `make setup` installs it into .venv")
    print(f"making {FOLDER.name} from {LOCK.relative_to(ROOT)}", file=sys.stderr)
    for command in (
        ["venv", "--clear", "--python", sys.executable, str(FOLDER)],
        ["pip", "sync", "--python", str(found), "--require-hashes", str(LOCK)],
        ["pip", "install", "--python", str(found), "--no-deps", "--no-build-isolation", "--editable", str(ROOT)],
    ):
        done = subprocess.run([uv, *command, "--quiet"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"the peers' environment cannot be made: {done.stderr.strip()[-500:]}")
    stamp.write_text(digest)
    return found
