"""Doubled content: a text or an id that came into `curated` again while the first was still within the horizon. Pure.

The duplicate index remembers the last `horizon` records of a workload and forgets the oldest first, so a text may come
again after that many others: what is counted here is records in between, never time. Votes are duplicates that say so,
and a replayed record is the one it was: neither is handed in as a record of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.rules.places import PartitionOffset


@dataclass
class _WorkloadRecords:
    """One workload's records in one partition, in the order of `curated`."""

    records: int = 0
    entries: int = 0  # records and votes
    # text key, or id -> number of its last record, place
    texts: dict[str, tuple[int, PartitionOffset]] = field(default_factory=dict)
    ids: dict[str, tuple[int, PartitionOffset]] = field(default_factory=dict)


class Repeats:
    """What is repeated, found out record by record in the order of each partition."""

    def __init__(self, horizons: Mapping[str, int]) -> None:
        """Take each workload's horizon as its file says it now; where it was raised, the records from before may be
        reported as repeated.
        """
        self._horizons = horizons
        self._lines: dict[tuple[int, str], _WorkloadRecords] = {}
        self.found: list[tuple[str, PartitionOffset, str]] = []  # workload, place in traffic, what it repeats
        self.unchecked: set[str] = set()  # workloads whose horizon is not known

    def look(self, workload: str, origin: PartitionOffset, record_id: str, text_key: str, *, vote: bool) -> None:
        """Take the next record of a partition, with its place in traffic; a vote says itself that it is a duplicate."""
        horizon = self._horizons.get(workload)
        if horizon is None:
            self.unchecked.add(workload)
            return
        line = self._lines.setdefault((origin[0], workload), _WorkloadRecords())
        same = _within(line.ids.get(record_id), line.entries, horizon)
        what = "id"
        if same is None and not vote:
            same, what = _within(line.texts.get(text_key), line.records, horizon), "text"
        if same is not None and same != origin:  # one place twice is what the accounts call doubled
            self.found.append((workload, origin, f"the {what} of the record at {same[0]}:{same[1]}"))
        line.ids[record_id] = (line.entries, origin)
        line.entries += 1
        if not vote:
            line.texts[text_key] = (line.records, origin)
            line.records += 1


def _within(seen: tuple[int, PartitionOffset] | None, now: int, horizon: int) -> PartitionOffset | None:
    """Return the place of what was seen before, if the index cannot have forgotten it since."""
    return seen[1] if seen is not None and now - seen[0] <= horizon else None
