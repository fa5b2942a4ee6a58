"""The worker's name for a stage, kept in its state folder under an exclusive lock.

A stable name gives a stable transactional id: after a SIGKILL the next start aborts what was left open within a
second or two, where a random id would hold up every reader for the whole transaction timeout.
"""

from __future__ import annotations

import fcntl
import secrets
from pathlib import Path
from typing import IO

from schemas.errors import SettingsError


class Instance:
    """The holder of one state folder; the lock goes with the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the folder.

        Raises:
            SettingsError: another process holds it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._lock: IO[str] = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise SettingsError(
                "state_dir", str(folder), "is held by another worker; stop it, or give this one its own "
                "MILLRACE_STATE_DIR"
            ) from error  # fmt: skip
        name = folder / "instance"
        if not name.exists():
            fresh = name.with_suffix(".new")
            fresh.write_text(secrets.token_hex(6))
            fresh.rename(name)  # a crash leaves either no name or a whole one
        self.name = name.read_text().strip()

    def release(self) -> None:
        """Let another process take the folder."""
        self._lock.close()
