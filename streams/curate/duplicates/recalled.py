"""What `curated` says of a workload, read back in its order when an index is rebuilt; no more than an index holds."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from streams.curate.duplicates.recent import Recent


class Kept(NamedTuple):
    """What `curated` says of a record."""

    record_id: str
    cluster_id: str
    text_key: str
    text: str
    answer: str | None
    vote: bool  # a duplicate that went on; else the first member of its cluster


class Recalled:
    """The records of one workload that count: the last first members, and the ids of earlier ones and of votes."""

    def __init__(self, horizon: int) -> None:
        self.firsts: deque[Kept] = deque(maxlen=horizon)
        self.members: Recent[str] = Recent(2 * horizon)  # cluster ids by record id, as are those of votes:
        self.votes: Recent[str] = Recent(2 * horizon)  # a record may come again after its text was evicted
        self.contested: Recent[None] = Recent(horizon)  # clusters with a vote that carries an answer

    def take(self, record: Kept) -> None:
        """Take the next record; a second one of an id (a later stage's dead letter, replayed) changes nothing."""
        if record.record_id in self.members or record.record_id in self.votes:
            return
        if record.vote:
            self.votes.add(record.record_id, record.cluster_id)
            if record.answer is not None and record.cluster_id not in self.contested:
                self.contested.add(record.cluster_id, None)
        else:
            self.members.add(record.record_id, record.cluster_id)
            self.firsts.append(record)
