"""The clusters of one workload on one partition, bounded by the horizon: what of its traffic was seen before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from schemas.records import DiscardReason
from streams.curate.duplicates.near import NearMembers, NearTexts, sketched
from streams.curate.duplicates.recalled import Recalled
from streams.curate.duplicates.recent import Recent, RecentAhead

_AT_ONCE: Final = 5_000  # texts of a rebuild that are sketched in one go


class Duplicate(NamedTuple):
    """What a record duplicates, and how that was found."""

    reason: DiscardReason
    record_id: str  # the cluster's first member; where an id came again, the record itself
    cluster_id: str
    another_answer: bool  # it carries a recorded answer, and that or an earlier vote's is not the first member's


class _First(NamedTuple):
    """The first member of a cluster."""

    record_id: str
    answer: int  # its hash: an answer may be long, and is only ever compared


class DuplicateIndex:
    """What was seen of one workload's traffic."""

    def __init__(self, similarity: float, horizon: int, recalled: Recalled | None = None) -> None:
        """Begin with nothing, or with what `curated` holds.

        Args:
            similarity: the least Jaccard similarity of near duplicates.
            horizon: clusters that are remembered.
            recalled: what was read back, with the same horizon.
        """
        recalled = recalled or Recalled(horizon)
        self._texts: Recent[_First] = Recent(horizon)  # by text key
        self._members = recalled.members
        self._votes = recalled.votes
        self._contested = recalled.contested
        self._near = NearMembers(similarity, horizon)
        remaining = iter(recalled.firsts)
        while some := list(islice(remaining, _AT_ONCE)):
            self._near.add(*sketched([first.text for first in some], self._near.minima))
            for first in some:
                self._texts.add(first.text_key, _First(first.record_id, hash(first.answer)))

    def __len__(self) -> int:
        return len(self._texts)

    def overlay(self, texts: Iterable[tuple[str, str]]) -> Overlay:
        """Return a view to which a batch adds; nothing changes here before it is merged.

        Args:
            texts: text key and normalised text of each record of the batch.
        """
        return Overlay(self._texts, self._members, self._votes, self._contested, self._near, list(texts))


class Overlay:
    """An index with what a batch adds to it."""

    def __init__(
        self,
        texts: Recent[_First],
        members: Recent[str],
        votes: Recent[str],
        contested: Recent[None],
        near: NearMembers,
        batch: Sequence[tuple[str, str]],
    ) -> None:
        self._texts = RecentAhead(texts)
        self._members = RecentAhead(members)
        self._votes = RecentAhead(votes)
        self._contested = RecentAhead(contested)
        fresh = self._fresh(batch)
        self._rows = {text_key: row for row, text_key in enumerate(fresh)}
        self._near = NearTexts(near, list(fresh.values()))

    def find(self, record_id: str, text_key: str, answer: str | None) -> Duplicate | None:
        """Return what a record duplicates, or None where its text is new.

        Args:
            record_id: of the record.
            text_key: of its text, which is one of those that the overlay was made for.
            answer: recorded with it.
        """
        for ids in (self._members, self._votes):
            known = ids.number(record_id)
            if known is not None:
                return Duplicate(DiscardReason.DUPLICATE_ID, record_id, ids.value(known), another_answer=False)
        number, reason = self._texts.number(text_key), DiscardReason.DUPLICATE_TEXT
        if number is None:
            number, reason = self._near.nearest(self._rows[text_key], self._texts.oldest), DiscardReason.NEAR_DUPLICATE
        if number is None:
            return None
        first = self._texts.value(number)
        cluster = first.record_id
        another = answer is not None and (hash(answer) != first.answer or self._contested.number(cluster) is not None)
        return Duplicate(reason, cluster, cluster, another)

    def add(self, record_id: str, text_key: str, answer: str | None) -> None:
        """Add the first member of a cluster, for which nothing was found."""
        self._texts.add(text_key, _First(record_id, hash(answer)))
        self._members.add(record_id, record_id)
        self._near.add(self._rows[text_key])

    def add_vote(self, record_id: str, cluster_id: str, answer: str | None) -> None:
        """Remember a vote: the same record sent again is no second vote, and later answers count too."""
        self._votes.add(record_id, cluster_id)
        if answer is not None and self._contested.number(cluster_id) is None:
            self._contested.add(cluster_id, None)

    def merge(self) -> None:
        """Add what the batch added to the index; once, after the commit."""
        for part in (self._texts, self._members, self._votes, self._contested, self._near):
            part.merge()

    def _fresh(self, batch: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Return the texts to sketch: those not seen before, or so long ago that the batch itself may evict them."""
        evicted = self._texts.oldest + len(batch)
        fresh = {}
        for text_key, text in batch:
            number = self._texts.number(text_key)
            if number is None or number < evicted:
                fresh[text_key] = text
        return fresh
