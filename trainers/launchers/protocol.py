"""What every launcher does with a job: it starts it, and never owns its result, which stands in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

JOB: Final = "job.json"
DUPLICATES: Final = "duplicates.json"  # cluster -> its further requests, where they were counted
LOG: Final = "log.txt"


class Launcher(Protocol):
    """Starts recipes in run folders that hold a `job.json`."""

    def submit(self, folder: Path) -> int:
        """Start the job and return which attempt this is, from 1."""
        ...

    def status(self, folder: Path) -> bool:
        """Return whether the job runs now, whoever started it."""
        ...

    def attempts(self, folder: Path) -> int:
        """Return how often the job was started."""
        ...

    def cancel(self, folder: Path) -> None:
        """Stop the job if it runs."""
        ...

    def logs(self, folder: Path, lines: int) -> list[str]:
        """Return the last lines the job wrote."""
        ...

    def capacity(self) -> int:
        """Return how many jobs there is room for at one time."""
        ...
