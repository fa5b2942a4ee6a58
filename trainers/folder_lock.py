"""An exclusive lock on a process's state folder; it goes with the process, however that ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import SettingsError


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the folder while the block runs.

    Raises:
        SettingsError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(
                "state_dir", str(folder), "is held by another dispatcher; stop it, or set another MILLRACE_STATE_DIR"
            ) from error
        yield
