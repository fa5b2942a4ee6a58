"""Requests that wait to be sent together, and when they go. Pure: the clock is an argument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from streams.label.teacher.batches.form import AnswerLine

QUIET_SECONDS: Final = 5.0  # if nothing joins for so long, what is there goes
LONGEST_SECONDS: Final = 60.0  # after the first joined; then they go however many more come
MOST_BYTES: Final = 50_000_000  # of a file, of which a few copies are in memory; endpoints take 100 MB and more


def _future() -> asyncio.Future[AnswerLine | None]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class BatchRequest:
    """One question on its way, and its answer: None where its batch ended without one."""

    custom_id: str
    data: bytes  # its line of a batch's file
    line: asyncio.Future[AnswerLine | None] = field(default_factory=_future)
    sent: bool = False


class Gathering:
    """The requests of one teacher that are in no batch yet, in the order they came."""

    def __init__(self, records: int) -> None:
        """Take how many requests may be in one batch."""
        self._records = self._most = records
        self._requests: dict[str, BatchRequest] = {}
        self._bytes = 0
        self._first = self._last = 0.0

    def join(self, request: BatchRequest, now: float) -> None:
        """Take a request in."""
        if not self._requests:
            self._first = now
        self._last = now
        self._requests[request.custom_id] = request
        self._bytes += len(request.data)

    def leave(self, request: BatchRequest) -> None:
        """Drop a request that nobody waits for any more, if it is here."""
        if self._requests.get(request.custom_id) is request:
            del self._requests[request.custom_id]
            self._bytes -= len(request.data)

    def due(self, now: float) -> float | None:
        """Return the seconds until a batch is due; None: there is nothing to send."""
        if not self._requests:
            return None
        if len(self._requests) >= self._most or self._bytes >= MOST_BYTES:
            return 0.0
        return max(0.0, min(self._last + QUIET_SECONDS, self._first + LONGEST_SECONDS) - now)

    def take(self, room: Callable[[int], int]) -> list[BatchRequest]:
        """Take a batch out, the oldest requests first; `room`: how many of a number the budget allows."""
        taken: list[BatchRequest] = []
        size = 0
        for request in self._requests.values():
            size += len(request.data)
            if len(taken) == self._most or (taken and size > MOST_BYTES):
                break
            taken.append(request)
        del taken[room(len(taken)) :]
        for request in taken:
            self.leave(request)
        return taken

    def shrink(self, requests: int) -> None:
        """Make batches half as large as one that was too large."""
        self._most = max(1, requests // 2)

    def grow(self) -> None:
        """Make batches larger again, up to what the workload allows: one was taken."""
        self._most = min(self._records, 2 * self._most)

    def all(self) -> list[BatchRequest]:
        """Return what is here."""
        return list(self._requests.values())
