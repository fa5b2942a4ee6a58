"""A worker that makes no progress ends itself, to be restarted: a live process with a dead consumer helps nobody.

Waiting for something outside (a teacher, a rebuild that reads on) is progress. The watch runs in a thread of its own,
so that a blocked event loop does not blind it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

EXIT_STALLED: Final = 70
_LOOK_SECONDS: Final = 1.0

log = logging.getLogger("millrace.worker.liveness")


class StageProgress:
    """When one stage last got anywhere."""

    def __init__(self, stage: str, stall_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.stage, self._limit, self._clock = stage, stall_seconds, clock
        self._last = clock()
        self._lag = 0
        self._busy = False
        self._read: Callable[[], int] | None = None
        self._seen = -1

    def made(self) -> None:
        """A batch was settled or a partition rebuilt."""
        self._last, self._busy, self._read = self._clock(), False, None

    def idle(self) -> None:
        """Nothing came: progress only where there is nothing to come."""
        self._busy = False
        if self._lag == 0:
            self._last = self._clock()

    def working(self) -> None:
        """A batch is in work: the clock runs."""
        self._busy = True

    def waiting(self) -> None:
        """Something outside does not answer: this is no stall."""
        self._last, self._busy = self._clock(), False

    def rebuilding(self, read: Callable[[], int]) -> None:
        """A partition is being rebuilt: reading on is progress."""
        self._read, self._seen, self._busy = read, -1, True
        self._last = self._clock()

    def lag(self, records: int) -> None:
        """Take the number of records that wait in our partitions."""
        self._lag = records

    def stalled(self) -> str | None:
        """Return what makes no progress, or None."""
        if self._read is not None and (read := self._read()) != self._seen:
            self._seen, self._last = read, self._clock()
        still = self._clock() - self._last
        if still < self._limit or not (self._busy or self._lag):
            return None
        return f"{self.stage}: no progress for {still:.0f} s with {self._lag} records waiting"


def healthy(progress: Sequence[StageProgress]) -> str | None:
    """Return what makes no progress, for /healthz."""
    return next((wrong for one in progress if (wrong := one.stalled())), None)


def watch(progress: Sequence[StageProgress]) -> None:
    """End the process when a stage stalls."""

    def look() -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            wrong = healthy(progress)
            if wrong is not None:
                log.critical("%s; the worker ends to be restarted", wrong)
                os._exit(EXIT_STALLED)

    threading.Thread(target=look, name="liveness", daemon=True).start()
