"""Which texts were seen before: by id, by exact text, and nearly (Jaccard over word 1- and 2-grams).

MinHash finds candidates, the exact Jaccard similarity decides, so that the answer does not hang on a sketch. The
index holds the first member of each cluster, bounded by the workload's horizon and evicted by first-seen order, never
by use: rebuilt from `curated` it is the same as it was. A batch looks through an overlay, which merges after the
commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from rensa import RMinHash, RMinHashLSH

from schemas.records import DiscardReason

_PERMUTATIONS: Final = 128
_BANDS: Final = 32  # 4 rows each: finds 99.98 % of pairs at similarity 0.7, 87 % at 0.5
_SEED: Final = 42
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Member:
    """The first member of a cluster, as the index remembers it."""

    record_id: str
    text_key: str
    answer: str | None
    grams: AbstractSet[str]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """What a text duplicates, and how it was found out."""

    reason: DiscardReason
    record_id: str
    cluster_id: str
    answer: str | None


def grams(text: str) -> frozenset[str]:
    """Return the word 1- and 2-grams of a normalised text."""
    words = _WORD.findall(text.casefold())
    return frozenset(words) | frozenset(f"{one} {two}" for one, two in pairwise(words))


def jaccard(one: AbstractSet[str], two: AbstractSet[str]) -> float:
    """Return the share of grams that two texts have in common."""
    common = len(one & two)
    return common / (len(one) + len(two) - common) if common else 0.0


class _Sketches:
    """Members by number, found by the likeness of their sketches."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self._table = RMinHashLSH(0.5, _PERMUTATIONS, _BANDS)

    def add(self, number: int, member: Member, sketch: Any) -> None:
        self.members[number] = member
        if sketch is not None:
            self._table.insert(number, sketch)

    def remove(self, number: int) -> Member:
        self._table.remove(number)
        return self.members.pop(number)

    def candidates(self, sketch: Any) -> Iterator[tuple[int, Member]]:
        for number in self._table.query(sketch):
            member = self.members.get(number)
            if member is not None:
                yield number, member


def sketch_of(found: AbstractSet[str]) -> Any:
    """Return the MinHash of grams, or None where there are none."""
    if not found:
        return None
    sketch = RMinHash(_PERMUTATIONS, _SEED)
    sketch.update(list(found))
    return sketch


class DuplicateIndex:
    """The clusters of one workload."""

    def __init__(self, similarity: float, horizon: int) -> None:
        self._similarity, self._horizon = similarity, horizon
        self._sketches = _Sketches()
        self._by_text: dict[str, int] = {}
        self._ids: dict[str, str] = {}  # record_id -> cluster_id, of first members and votes; in first-seen order
        self._next = 0

    def __len__(self) -> int:
        return len(self._sketches.members)

    def overlay(self) -> Overlay:
        """Return a view to which a batch adds; nothing changes here before it is merged."""
        return Overlay(self)

    def add(self, member: Member, sketch: Any) -> None:
        """Take a cluster's first member; the oldest goes when the horizon is full."""
        number = self._next
        self._next += 1
        self._sketches.add(number, member, sketch)
        self._by_text[member.text_key] = number
        self.add_id(member.record_id, member.record_id)
        if len(self._sketches.members) > self._horizon:
            oldest = self._sketches.remove(next(iter(self._sketches.members)))
            if self._by_text.get(oldest.text_key, number) not in self._sketches.members:
                del self._by_text[oldest.text_key]

    def add_id(self, record_id: str, cluster_id: str) -> None:
        """Remember a record that stands in `curated`."""
        self._ids[record_id] = cluster_id
        if len(self._ids) > 2 * self._horizon:
            del self._ids[next(iter(self._ids))]

    def by_id(self, record_id: str) -> str | None:
        """Return the cluster of a record that stands in `curated`."""
        return self._ids.get(record_id)

    def by_text(self, text_key: str) -> Member | None:
        """Return the first member with exactly this text."""
        number = self._by_text.get(text_key)
        return None if number is None else self._sketches.members[number]

    def nearest(self, found: AbstractSet[str], sketch: Any) -> tuple[float, int, Member] | None:
        """Return the most similar first member; of equals the one seen first."""
        return _nearest(self._sketches, found, sketch, self._similarity)

    @property
    def similarity(self) -> float:
        """The least similarity of near duplicates."""
        return self._similarity


class Overlay:
    """An index with what a batch adds to it."""

    def __init__(self, base: DuplicateIndex) -> None:
        self._base = base
        self._sketches = _Sketches()
        self._by_text: dict[str, Member] = {}
        self._ids: dict[str, str] = {}
        self._added: list[tuple[Member, Any] | tuple[str, str]] = []

    def find(self, record_id: str, text_key: str, text: str) -> Duplicate | tuple[AbstractSet[str], Any]:
        """Return what the record duplicates, or the grams and the sketch that it is to be added with."""
        cluster = self._ids.get(record_id) or self._base.by_id(record_id)
        if cluster is not None:
            return Duplicate(DiscardReason.DUPLICATE_ID, record_id, cluster, None)
        same = self._by_text.get(text_key) or self._base.by_text(text_key)
        if same is not None:
            return Duplicate(DiscardReason.DUPLICATE_TEXT, same.record_id, same.record_id, same.answer)
        found = grams(text)
        sketch = sketch_of(found)
        near = None if sketch is None else self._nearest(found, sketch)
        if near is not None:
            return Duplicate(DiscardReason.NEAR_DUPLICATE, near.record_id, near.record_id, near.answer)
        return found, sketch

    def add(self, member: Member, sketch: Any) -> None:
        """Add a cluster's first member."""
        self._sketches.add(len(self._added), member, sketch)
        self._by_text[member.text_key] = member
        self._ids[member.record_id] = member.record_id
        self._added.append((member, sketch))

    def add_vote(self, record_id: str, cluster_id: str) -> None:
        """Remember a vote: the same record sent again is no second one."""
        self._ids[record_id] = cluster_id
        self._added.append((record_id, cluster_id))

    def merge(self) -> None:
        """Let the index have what the batch added."""
        for one, other in self._added:
            if isinstance(one, Member):
                self._base.add(one, other)
            else:
                self._base.add_id(one, other)

    def _nearest(self, found: AbstractSet[str], sketch: Any) -> Member | None:
        before = self._base.nearest(found, sketch)
        here = _nearest(self._sketches, found, sketch, self._base.similarity)
        if before is None or (here is not None and here[0] > before[0]):
            return None if here is None else here[2]
        return before[2]


def _nearest(
    sketches: _Sketches, found: AbstractSet[str], sketch: Any, similarity: float
) -> tuple[float, int, Member] | None:
    best: tuple[float, int, Member] | None = None
    for number, member in sketches.candidates(sketch):
        likeness = jaccard(found, member.grams)
        if likeness >= similarity and (best is None or (-likeness, number) < (-best[0], best[1])):
            best = likeness, number, member
    return best
