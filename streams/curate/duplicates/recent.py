"""The last `size` keys of a sequence: what a horizon keeps, evicted in the order in which it came."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Keys with a value each, numbered in the order in which they came; the last `size` are remembered."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.next = 0
        self.numbers: dict[str, int] = {}  # the latest of each key
        self._keys: list[str] = []  # at number % size, as are the values
        self._values: list[V] = []

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str, value: V) -> None:
        """Take the next key, in the oldest one's place once there are `size` of them."""
        if self.next < self.size:
            self._keys.append(key)
            self._values.append(value)
        else:
            slot = self.next % self.size
            oldest = self._keys[slot]
            if self.numbers.get(oldest) == self.next - self.size:  # else the key came again since
                del self.numbers[oldest]
            self._keys[slot] = key
            self._values[slot] = value
            if slot in (0, self.size // 2):
                self._compact()
        self.numbers[key] = self.next
        self.next += 1

    def __contains__(self, key: str) -> bool:
        return key in self.numbers

    def value(self, number: int) -> V:
        """Return the value that came with a number."""
        return self._values[number % self.size]

    def _compact(self) -> None:
        """Leave the gaps of deleted keys behind: a dictionary that fills up with them makes itself twice as large."""
        numbers: dict[str, int] = {}
        numbers.update(self.numbers)
        self.numbers = numbers


class RecentAhead(Generic[V]):
    """`Recent` with what a batch adds: as it will be once that is merged."""

    def __init__(self, base: Recent[V]) -> None:
        self._base = base
        self._numbers: dict[str, int] = {}
        self._added: list[tuple[str, V]] = []

    @property
    def oldest(self) -> int:
        """The number from which on keys are remembered; below 0 while there is room."""
        return self._base.next + len(self._added) - self._base.size

    def add(self, key: str, value: V) -> None:
        """Take the next key."""
        self._numbers[key] = self._base.next + len(self._added)
        self._added.append((key, value))

    def number(self, key: str) -> int | None:
        """Return the latest number of a key that is remembered."""
        number = self._numbers.get(key)
        if number is None:
            number = self._base.numbers.get(key)
        return None if number is None or number < self.oldest else number

    def value(self, number: int) -> V:
        """Return the value that came with a number."""
        ahead = number - self._base.next
        return self._added[ahead][1] if ahead >= 0 else self._base.value(number)

    def merge(self) -> None:
        """Add the new keys to the base."""
        for key, value in self._added:
            self._base.add(key, value)
