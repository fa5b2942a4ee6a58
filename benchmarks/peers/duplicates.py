"""What was seen before, for programs that take one record at a time: the promise of streams/curate, without batches.

By id, by exact text, and nearly: rensa's MinHash finds candidates, the exact Jaccard similarity over word 1- and
2-grams decides. The curate stage's own index works on whole batches and would be slow at one text per call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from rensa import RMinHash, RMinHashLSH

from schemas.records import DiscardReason
from schemas.sections.intake import Duplicates

_PERMUTATIONS: Final = 128
_BANDS: Final = 32  # of 4 rows: finds 99.98 % of the pairs at similarity 0.7
_SEED: Final = 42
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Repeated:
    """What a record repeats, and how that was found out."""

    reason: DiscardReason
    record_id: str
    cluster_id: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A text that was not seen before, with what it is to be remembered by."""

    grams: frozenset[str]
    sketch: Any  # None where there are no words


@dataclass(frozen=True, slots=True)
class _First:
    record_id: str
    answer: str | None
    grams: frozenset[str]


class Seen:
    """The first records of one workload's clusters, the oldest forgotten beyond the horizon."""

    def __init__(self, duplicates: Duplicates) -> None:
        self._similarity, self._horizon = duplicates.similarity, duplicates.horizon
        self._ids: dict[str, str] = {}  # record id -> cluster
        self._contested: dict[str, None] = {}  # clusters with an answer among their votes
        self._texts: dict[str, _First] = {}  # in the order in which they came
        self._table = RMinHashLSH(0.5, _PERMUTATIONS, _BANDS)
        self._numbers: dict[int, str] = {}  # of the table -> text key
        self._next = 0

    def find(self, record_id: str, text_key: str, text: str) -> Repeated | Fresh:
        """Return what a record repeats, if anything."""
        cluster = self._ids.get(record_id)
        if cluster is not None:
            return Repeated(DiscardReason.DUPLICATE_ID, record_id, cluster, None)
        same = self._texts.get(text_key)
        if same is not None:
            return Repeated(DiscardReason.DUPLICATE_TEXT, same.record_id, same.record_id, same.answer)
        words = _WORD.findall(text.casefold())
        grams = frozenset(words) | frozenset(f"{one} {two}" for one, two in pairwise(words))
        if not grams:
            return Fresh(grams, None)
        sketch = RMinHash(_PERMUTATIONS, _SEED)
        sketch.update(list(grams))
        near = self._nearest(grams, sketch)
        if near is not None:
            return Repeated(DiscardReason.NEAR_DUPLICATE, near.record_id, near.record_id, near.answer)
        return Fresh(grams, sketch)

    def add(self, record_id: str, text_key: str, answer: str | None, fresh: Fresh) -> None:
        """Remember the first record of a cluster."""
        number, self._next = self._next, self._next + 1
        self._texts[text_key], self._numbers[number] = _First(record_id, answer, fresh.grams), text_key
        if fresh.sketch is not None:
            self._table.insert(number, fresh.sketch)
        self.add_id(record_id, record_id)
        if len(self._numbers) > self._horizon:
            oldest = next(iter(self._numbers))
            self._table.remove(oldest)
            del self._texts[self._numbers.pop(oldest)]

    def add_id(self, record_id: str, cluster_id: str) -> None:
        """Remember a record's id."""
        self._ids[record_id] = cluster_id
        if len(self._ids) > 2 * self._horizon:
            del self._ids[next(iter(self._ids))]

    def add_vote(self, record_id: str, cluster_id: str, answer: str | None) -> None:
        """Remember a vote, and that its cluster has one."""
        self.add_id(record_id, cluster_id)
        if answer is not None:
            self._contested.setdefault(cluster_id)
        if len(self._contested) > self._horizon:
            del self._contested[next(iter(self._contested))]

    def contested(self, cluster_id: str) -> bool:
        """Return whether a cluster has a vote with an answer."""
        return cluster_id in self._contested

    def _nearest(self, grams: frozenset[str], sketch: Any) -> _First | None:
        """Return the most similar first record; of equals the one that came first."""
        found: _First | None = None
        best = 0.0
        for number in sorted(self._table.query(sketch)):
            first = self._texts[self._numbers[number]]
            common = len(grams & first.grams)
            likeness = common / (len(grams) + len(first.grams) - common)
            if likeness >= self._similarity and likeness > best:
                best, found = likeness, first
        return found
