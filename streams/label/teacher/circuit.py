"""Whether a teacher is there: closed, open, or half open with one probe under way. Pure: the clock is an argument.

Closed, calls go out. The circuit opens after more failures in a row than there were calls open when the first came,
and `patience` more: refusals within a burst are no outage while other calls are answered. Open,
nothing is asked; after the pause one call goes out as the probe. An answer closes the circuit, whoever got it; a probe
that fails opens it again for twice as long.
"""

from __future__ import annotations

from typing import Final

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0


class Circuit:
    """The circuit breaker of one teacher."""

    def __init__(self, patience: int) -> None:
        """Take how many failures in a row, beside the calls open at a time, are an outage."""
        self._patience = patience
        self._failures = self._bearable = 0
        self._pause = FIRST_SECONDS
        self._until: float | None = None  # None: closed
        self._probing = False

    @property
    def closed(self) -> bool:
        """Return whether calls flow freely."""
        return self._until is None

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next call may go out; None: it depends on the probe under way."""
        if self._until is None:
            return 0.0
        return None if self._probing else max(0.0, self._until - now)

    def begin(self) -> bool:
        """A call goes out; return whether it is the probe."""
        self._probing = not self.closed
        return self._probing

    def answered(self) -> None:
        """A call was answered, with whatever content."""
        self._failures = 0
        self._pause = FIRST_SECONDS
        self._until = None
        self._probing = False

    def failed(self, now: float, open_calls: int, *, probe: bool) -> None:
        """A call failed; `open_calls`: how many others are under way."""
        if self._until is not None:
            if probe:
                self._pause = min(2 * self._pause, LONGEST_SECONDS)
                self._until, self._probing = now + self._pause, False
            return
        if self._failures == 0:
            self._bearable = self._patience + open_calls
        self._failures += 1
        if self._failures > self._bearable:
            self._until = now + self._pause

    def abandoned(self, *, probe: bool) -> None:
        """We gave a call up: it shows nothing about the endpoint."""
        if probe:
            self._probing = False


def at_fault(failures: int, attempts: int, answered: int, failed: int) -> bool:
    """Return whether a record, and not its teacher, is at fault: the teacher answers others, and fails on this one.

    After `attempts` failures where four of five other calls were answered meanwhile; after four times as many where any
    was. By chance alone, at an endpoint that fails on one call in five: 0.2^5 = 0.0003; on every second: 0.5^20 = 1e-6.

    Args:
        failures: of this record's calls.
        attempts: the workload's.
        answered: other calls answered since this record's first.
        failed: other calls failed since then.
    """
    if failures < attempts or not answered:
        return False
    return answered >= 4 * failed or failures >= 4 * attempts
