"""Near duplicates: MinHash finds the candidates, the exact Jaccard similarity decides.

All texts of a batch are sketched and looked up at once. The answers then come one by one, and are those that batches
of one would give: a member of the index counts while fewer than `NEWEST` newer ones share its band, those that the
batch added among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.curate.duplicates.bands import NEWEST, Bands, Hits
from streams.curate.duplicates.grams import Hashes, grams_of, jaccard
from streams.curate.duplicates.sketches import MINIMA, Keys, alike, band_keys, minima_per_band

_NUMBER_BITS: Final = 40
_ROW_BITS: Final = 24  # with 32 of a key and at most 7 of its band that makes 63

BandKey = tuple[int, int]  # a band with its key, and how many newer members of the index share it


class NearMembers:
    """The first members of the last `horizon` clusters, by number, with what finds the texts near them."""

    def __init__(self, similarity: float, horizon: int) -> None:
        self.similarity = similarity
        self._horizon = horizon
        self.minima = minima_per_band(similarity)
        self.bands = Bands(horizon, MINIMA // self.minima)
        self._grams: list[bytes] = []  # at number % horizon: an eighth of what a set of them takes

    def add(self, grams: Sequence[Hashes], keys: Keys) -> None:
        """Take the next members, in order."""
        for number, own in enumerate(grams, self.bands.next):
            if number < self._horizon:
                self._grams.append(own.tobytes())
            else:
                self._grams[number % self._horizon] = own.tobytes()
        self.bands.add(keys)

    def grams(self, number: int) -> Hashes:
        """Return the grams of a member."""
        return np.frombuffer(self._grams[number % self._horizon], np.uint32)


def sketched(texts: Sequence[str], minima: int) -> tuple[list[Hashes], Keys]:
    """Return the grams and the band keys of texts."""
    found = grams_of(texts)
    return found.each(), band_keys(found, minima)


class NearTexts:
    """The texts of a batch, by row: what each is near to, and which of them the batch added as members."""

    def __init__(self, base: NearMembers, texts: Sequence[str]) -> None:
        self._base = base
        self._grams, self._keys = sketched(texts, base.minima)
        self._tagged = np.arange(self._keys.shape[1]) << 32 | self._keys  # a key with its band
        self._known = self._alike_enough(base.bands.newest(self._keys))
        self._shared = _shared(self._tagged)
        self._posted: dict[int, list[int]] = {}  # a key with its band -> numbers of the members that the batch added
        self._added: list[int] = []  # their rows
        self._sets: dict[int, frozenset[int]] = {}

    def nearest(self, row: int, oldest: int) -> int | None:
        """Return the number of the most similar member from `oldest` on; of equals, of the one seen first."""
        known, shared = self._known.get(row, ()), self._shared.get(row, ())
        if not known and not shared:
            return None
        found = [
            (-likeness, number)
            for likeness, number, ways in known
            if any(rank + len(self._posted.get(key, ())) < NEWEST for key, rank in ways)
        ]
        for number in {number for key in shared for number in self._posted.get(key, ())[-NEWEST:]}:
            other = self._added[number - self._base.bands.next]
            likeness = self._likeness(row, other)
            if likeness >= self._base.similarity and self._likely(row, other):
                found.append((-likeness, number))
        return min((number for number in found if number[1] >= oldest), default=(0.0, None))[1]

    def add(self, row: int) -> None:
        """Make a text the next member."""
        number = self._base.bands.next + len(self._added)
        self._added.append(row)
        for key in self._shared.get(row, ()):
            self._posted.setdefault(key, []).append(number)

    def merge(self) -> None:
        """Add the members of the batch to the index."""
        self._base.add([self._grams[row] for row in self._added], self._keys[self._added])

    def _alike_enough(self, hits: Hits) -> dict[int, list[tuple[float, int, list[BandKey]]]]:
        """Return, by row, the members of the index that are alike enough: similarity, number, ways that lead there."""
        order = np.argsort(hits.row << _NUMBER_BITS | hits.number)
        row, number = hits.row[order], hits.number[order]
        begins = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(number, prepend=-1) != 0))
        ends = np.append(begins[1:], len(order))
        members = self._base.bands.keys(number[begins])
        likely = alike(self._keys[row[begins]], members, self._base.similarity, self._base.minima)
        likeness = jaccard(
            [self._grams[mine] for mine in row[begins[likely]].tolist()],
            [self._base.grams(other) for other in number[begins[likely]].tolist()],
        )
        enough = likeness >= self._base.similarity
        known: dict[int, list[tuple[float, int, list[BandKey]]]] = {}
        for begin, end, found in zip(begins[likely][enough], ends[likely][enough], likeness[enough], strict=True):
            hit = order[begin:end]
            ways = zip(self._tagged[row[begin], hits.band[hit]].tolist(), hits.rank[hit].tolist(), strict=True)
            known.setdefault(int(row[begin]), []).append((float(found), int(number[begin]), list(ways)))
        return known

    def _likely(self, one: int, two: int) -> bool:
        """Return for two rows what `alike` would return if one of them were already a member of the index."""
        keys = self._keys[[one]], self._keys[[two]]
        return bool(alike(*keys, self._base.similarity, self._base.minima)[0])

    def _likeness(self, one: int, two: int) -> float:
        """Return the similarity of two rows; pairs within a batch are few, so that sets are faster than arrays."""
        for row in (one, two):
            if row not in self._sets:
                self._sets[row] = frozenset(self._grams[row].tolist())
        common = len(self._sets[one] & self._sets[two])
        if not common:
            return 0.0
        return common / (len(self._sets[one]) + len(self._sets[two]) - common)


def _shared(tagged: NDArray[np.int64]) -> dict[int, list[int]]:
    """Return, by row, the keys that other rows have too: only there can texts of one batch meet."""
    sorted_keys = np.sort((tagged << _ROW_BITS | np.arange(len(tagged))[:, None]).ravel())
    key, row = sorted_keys >> _ROW_BITS, sorted_keys & ((1 << _ROW_BITS) - 1)
    same = np.diff(key, prepend=-1, append=-1) == 0
    twice = same[1:] | same[:-1]
    shared: dict[int, list[int]] = {}
    for one, of in zip(row[twice].tolist(), key[twice].tolist(), strict=True):
        shared.setdefault(one, []).append(of)
    return shared
