"""Which members share a band with a text: chains through a ring of members, newest first.

Each band has a table of buckets; a bucket holds its newest member, and each member the distance to the next older one
of its bucket (`step`) and to the next older one there with another key (`skip`). Nothing is ever taken out: an evicted
member's place in the ring goes to the newest, and a chain ends where it becomes older than the horizon. `skip` is what
keeps a look-up short where another key of the bucket is a frequent one.

Of each band only the newest few members count. Without that bound, texts of one form ("X says Q1 net profit rose to Y")
meet hundreds of members per look-up at 200,000 members of real headlines; with it about ten, and a pair that is
really alike meets in bands which are not frequent: none of 4,000 was lost at any bound from 4 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.arrays import Ints
from streams.curate.duplicates.sketches import Keys

NEWEST: Final = 8  # members of one band key that are looked at
_LEAST: Final = 1_024  # members room is made for at first; then it doubles
_MIX: Final = np.uint32(0x9E3779B1)
_NONE: Final = -1
_SKIP: Final = 0
_STEP: Final = 1


@dataclass(frozen=True, slots=True)
class Hits:
    """Where texts and members share a band; one entry per text, band and member."""

    row: Ints
    band: Ints
    number: Ints  # of the member
    rank: Ints  # how many newer members share the band too


class Bands:
    """The band keys of the last `size` members, by number."""

    def __init__(self, size: int, bands: int) -> None:
        self._size = size
        self._bands = bands
        self.next = 0
        self._empty(min(size, _LEAST))

    def add(self, keys: Keys) -> None:
        """Take the next members, in order."""
        passed = max(len(keys) - self._size, 0)  # evicted before anyone could see them
        if self.next + len(keys) > self._room < self._size:
            self._grow(self.next + len(keys))
        self._link(keys[passed:], self.next + passed)
        self.next += len(keys)

    def keys(self, numbers: Ints) -> Keys:
        """Return the band keys of members."""
        return self._keys[numbers % self._room]

    def newest(self, keys: Keys) -> Hits:
        """Return for each text and band the newest members that share it, at most `NEWEST`."""
        head = self._heads[self._places(keys)]
        row, band = np.nonzero(head != _NONE)
        key, number = keys[row, band], self._numbers(head[row, band])
        rank = np.zeros(len(row), np.int64)
        found = [(row[:0], band[:0], number[:0], rank[:0])]
        while len(row):
            at = number % self._room * self._bands + band
            same = self._keys.take(at) == key
            found.append((row[same], band[same], number[same], rank[same]))
            rank = rank + same
            distance = self._older.take(2 * at + same)
            number = number - distance
            on = (distance > 0) & (rank < NEWEST) & (number >= self.next - self._size)
            row, band, key, number, rank = (column[on] for column in (row, band, key, number, rank))
        return Hits(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _empty(self, room: int) -> None:
        self._room = room
        bits = max(room - 1, 1).bit_length()
        self._shift = np.uint32(32 - bits)
        self._firsts = np.arange(self._bands) << bits  # where each band's buckets begin
        self._heads = np.full(self._bands << bits, _NONE, np.int32)  # place in the ring of a bucket's newest member
        self._keys = np.zeros((room, self._bands), np.uint32)
        self._older = np.zeros((room, self._bands, 2), np.int32)  # skip and step

    def _grow(self, members: int) -> None:
        """Double the room until the members fit, and link them anew."""
        kept = self._keys[: self.next]
        self._empty(min(self._size, 1 << (members - 1).bit_length()))
        self._link(kept, 0)

    def _places(self, keys: Keys) -> Ints:
        return self._firsts + (keys * _MIX >> self._shift)

    def _numbers(self, slots: NDArray[np.int32]) -> Ints:
        """Return the numbers of the members that have these places in the ring."""
        newest = self.next - 1
        return newest - (newest - slots.astype(np.int64)) % self._room

    def _link(self, keys: Keys, first: int) -> None:
        """Put members in front of their buckets' chains, all at once: sorted, a bucket's members are side by side."""
        if not len(keys):
            return
        order = np.sort((self._places(keys) << 32 | np.arange(len(keys))[:, None]).ravel())
        place, row = order >> 32, order & (2**32 - 1)
        band, number = place // (len(self._heads) // self._bands), first + row
        key = keys[row, band]
        opens = np.diff(place, prepend=-1) != 0
        older, other = self._behind(place[opens], band[opens], key[opens])
        step = _laid_out(number, opens, older)
        runs = np.maximum.accumulate(np.where(opens | (np.diff(key, prepend=key[:1]) != 0), np.arange(len(key)), 0))
        skip = _laid_out(number, opens, other)[runs]
        slot = number % self._room
        self._keys[slot, band] = key
        self._older[slot, band, _STEP] = np.where(step == _NONE, 0, number - step)
        self._older[slot, band, _SKIP] = np.where(skip == _NONE, 0, number - skip)
        closes = np.append(opens[1:], True)
        self._heads[place[closes]] = slot[closes]

    def _behind(self, place: Ints, band: Ints, key: NDArray[np.uint32]) -> tuple[Ints, Ints]:
        """Return each bucket's newest member so far, and its newest one with another key than the one given."""
        head = self._heads[place]
        number = self._numbers(head)
        there = self._keys[head, band]
        known = (head != _NONE) & (self._firsts[band] + (there * _MIX >> self._shift) == place)  # not evicted since
        skip = self._older[head, band, _SKIP]
        beyond = np.where(skip > 0, number - skip, _NONE)
        other = np.where(there == key, beyond, number)
        return np.where(known, number, _NONE), np.where(known, other, _NONE)


def _laid_out(number: Ints, opens: NDArray[np.bool_], before: Ints) -> Ints:
    """Return for each member, bucket by bucket, the member before it; for a bucket's first, the one that was there."""
    previous = np.empty_like(number)
    previous[1:] = number[:-1]
    previous[opens] = before
    return previous
