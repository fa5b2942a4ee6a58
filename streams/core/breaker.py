"""When most of a partition's records become dead letters, something upstream is broken: stop, and look again later.

Closed, records flow. Above half of dead letters among the last few hundred the breaker opens and the partition
pauses; nothing is lost, for its records stay in their topic. After the pause it is half open: a small batch is let
through, and what becomes of it closes the breaker or opens it again for twice as long. Pure: the clock (monotonic
seconds) is an argument.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

SHARE: Final = 0.5  # of dead letters, above which the breaker opens
LEAST: Final = 100  # records, before a share is judged: a few bad ones in a quiet hour are no flood
REMEMBERED: Final = 500  # records the share is taken over
PROBE: Final = 20  # records let through half open
FIRST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 300.0


class Breaker:
    """The breaker of one partition."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int]] = deque()  # settled records and dead letters among them, by batch
        self._settled = self._dead = 0
        self._pause = FIRST_SECONDS
        self._until: float | None = None  # None: closed

    @property
    def closed(self) -> bool:
        """Return whether records flow freely."""
        return self._until is None

    def opened(self, now: float) -> bool:
        """Return whether the partition is to pause now; once the pause is over the breaker is half open."""
        return self._until is not None and now < self._until

    def settled(self, records: int, dead: int, now: float) -> None:
        """Take how many records of this partition a batch settled, and how many became dead letters."""
        if not records:
            return
        if self._until is not None:
            if now >= self._until:  # half open; what was in work when it opened says nothing
                self._probed(dead / records > SHARE, now)
            return
        self._remember(records, dead)
        if self._settled >= LEAST and self._dead / self._settled > SHARE:
            self._until = now + self._pause

    def _probed(self, bad: bool, now: float) -> None:
        if bad:
            self._pause = min(2 * self._pause, LONGEST_SECONDS)
            self._until = now + self._pause
            return
        self._recent.clear()
        self._settled = self._dead = 0
        self._pause, self._until = FIRST_SECONDS, None

    def _remember(self, records: int, dead: int) -> None:
        self._recent.append((records, dead))
        self._settled, self._dead = self._settled + records, self._dead + dead
        while self._settled - self._recent[0][0] >= REMEMBERED:
            old, died = self._recent.popleft()
            self._settled, self._dead = self._settled - old, self._dead - died


class Breakers:
    """The breakers of a stage's partitions, by number."""

    def __init__(self) -> None:
        self._by_number: dict[int, Breaker] = {}

    def forget(self, number: int) -> None:
        """A partition went elsewhere."""
        self._by_number.pop(number, None)

    def all_closed(self) -> bool:
        """Return whether records flow freely everywhere."""
        return all(breaker.closed for breaker in self._by_number.values())

    def opened(self, now: float) -> set[int]:
        """Return the partitions that are to pause now."""
        return {number for number, breaker in self._by_number.items() if breaker.opened(now)}

    def most(self, usual: int, now: float) -> int:
        """Return how many records the next batch may have: few, while a partition is half open."""
        probing = any(not one.closed and not one.opened(now) for one in self._by_number.values())
        return PROBE if probing else usual

    def settled(self, records: Mapping[int, int], dead: Counter[int], now: float) -> dict[int, bool]:
        """Take what became of a batch's records, by partition; return, of those that changed, whether it is closed."""
        changed: dict[int, bool] = {}
        for number, count in records.items():
            breaker = self._by_number.setdefault(number, Breaker())
            before = breaker.closed
            breaker.settled(count, dead[number], now)
            if breaker.closed != before:
                changed[number] = breaker.closed
        return changed
