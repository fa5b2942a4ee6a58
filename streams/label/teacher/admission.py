"""Whose turn it is to call a teacher: first come, first served, and only while calls may go out.

A call waits while the budget is spent, the circuit is open, the endpoint's own Retry-After runs, or as many calls are
open as the endpoint was found to take. Only the first in line waits for these; the others wait for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from streams.label.teacher.budget import TeacherBudget
from streams.label.teacher.circuit import Circuit
from streams.label.teacher.concurrency import Concurrency

_LOOK_SECONDS: Final = 1.0  # while a budget is spent: its period may end, or the clock be set
_SHORT_PAUSE_SECONDS: Final = 1.0  # of a Retry-After that is no reason to hold a partition


class Turn:
    """One call under way; its caller reports its outcome."""

    def __init__(self, turns: Turns, *, probe: bool) -> None:
        self._turns = turns
        self._probe = probe
        self._reported = False
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return how long the call has taken so far."""
        return time.monotonic() - self._started

    def answered(self) -> None:
        """The endpoint answered."""
        self._reported = True
        self._turns.answers += 1
        self._turns.circuit.answered()
        self._turns.concurrency.answered(self.seconds, time.monotonic())

    def failed(self, why: str, *, congested: bool, hold_seconds: float = 0.0) -> None:
        """The endpoint did not answer; `congested`: it has too much to do; `hold_seconds`: the pause it asks for."""
        self._reported = True
        now = time.monotonic()
        self._turns.failures += 1
        self._turns.failure = why
        self._turns.not_before = max(self._turns.not_before, now + hold_seconds)
        self._turns.circuit.failed(now, self._turns.under_way - 1, probe=self._probe)
        if congested:
            self._turns.concurrency.refused(self.seconds, now)

    def end(self) -> None:
        """The call is over, its outcome reported or not."""
        if not self._reported:
            self._turns.circuit.abandoned(probe=self._probe)


class Turns:
    """The line before one teacher."""

    def __init__(self, ceiling: int, attempts: int, budget: TeacherBudget, clock: Callable[[], datetime]) -> None:
        """Take the most calls at a time, the failures in a row that are an outage, and the budget."""
        self.concurrency = Concurrency(ceiling)
        self.circuit = Circuit(attempts)
        self.budget = budget
        self.under_way = self.answers = self.failures = 0
        self.failure = ""  # why the last call failed, in words that quote no record
        self.not_before = 0.0  # monotonic
        self._clock = clock
        self._line = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def paused(self) -> str | None:
        """Say why no call may go out for a while; None: calls flow."""
        spent = self.budget.passed(self._clock(), 0)
        if spent is not None:
            until = f"{spent.until:%Y-%m-%d %H:%M} UTC" if spent.until else "the limit is raised"
            batches = self.budget.in_batches
            kept = f", the rest kept for {batches} requests in batches" if batches else ""
            what = f"teacher.{spent.field} = {spent.limit:g} is spent ({spent.amount:g}{kept})"
            return f"{what}; labelling pauses until {until}"
        if not self.circuit.closed:
            return f"the teacher does not answer: {self.failure}; labelling pauses until it does"
        if self.not_before - time.monotonic() > _SHORT_PAUSE_SECONDS:
            return "the teacher asks to wait (Retry-After); labelling pauses"
        return None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for a turn, and hold it until the call is over."""
        async with self._line:
            while (seconds := self._blocked()) is not None:
                self._changed.clear()
                try:
                    async with asyncio.timeout(seconds):
                        await self._changed.wait()
                except TimeoutError:
                    continue
            turn = Turn(self, probe=self.circuit.begin())
            self.under_way += 1
            self.concurrency.open(self.under_way)
        try:
            yield turn
        finally:
            turn.end()
            self.under_way -= 1
            self._changed.set()

    def _blocked(self) -> float | None:
        """Return the seconds after which to look again, or None where a call may go out."""
        if self.budget.passed(self._clock(), self.under_way) is not None:
            return _LOOK_SECONDS
        now = time.monotonic()
        pause = self.circuit.wait(now)
        if pause is None or self.under_way >= self.concurrency.limit:
            return _LOOK_SECONDS
        longest = max(pause, self.not_before - now)
        return longest if longest > 0 else None
