"""How many curated records one party may bring in within a stretch of arrival time: a defence against poisoning.

Counted in fixed stretches of the broker's append time (`hours` long, from 1970 on), which `curated` holds: a worker
that rebuilds the counts from there decides like one that was never interrupted. Records and votes count toward the
caps of their source, client and API key, votes alone toward that of their cluster. Those that name no source, client
or key share one cap, so that leaving the name out helps nobody. Audited records count too: any sender can say `audit`.

Two stretches are remembered, so that a broker's clock that steps back a little over a border finds its counts; a record
from before both counts in the older. A stretch remembers a bounded number of parties; those met later share the cap of
the nameless, so a sender who takes a new name for each record costs no memory and soon has no room.

A cap does not change propensities: what is above it is missing from every figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from schemas.records import CuratedKind, CuratedRecord
from schemas.sections.intake import Caps

_REMEMBERED: Final = 2  # stretches
_PARTIES: Final = 50_000  # per stretch, about 10 MB

Key = tuple[str, str]  # the rule, and the party


class CapCounts:
    """What one workload's parties have brought in."""

    def __init__(self, caps: Caps, parties: int = _PARTIES) -> None:
        self.caps = caps
        self.parties = parties
        self.by_stretch: dict[int, Counter[Key]] = {}

    def overlay(self) -> CapOverlay:
        """Return a view to which a batch adds; nothing changes here before it is merged."""
        return CapOverlay(self)

    def add(self, record: CuratedRecord) -> None:
        """Count a record of `curated`; records come in their order there."""
        overlay = self.overlay()
        overlay.count(record)
        overlay.merge()


class CapOverlay:
    """The counts with what a batch adds to them."""

    def __init__(self, base: CapCounts) -> None:
        self._base = base
        self._added: dict[int, Counter[Key]] = {}
        self._met: Counter[int] = Counter()  # parties that the base does not know, by stretch

    def admit(self, record: CuratedRecord) -> str | None:
        """Count a record or vote that is to be curated, or return the name of the first cap that is reached."""
        parties = list(_parties(record, self._base.caps))
        if not parties:
            return None
        stretch = self._stretch(record)
        for party, most in parties:
            if self._counted(stretch, self._remembered(stretch, party)) >= most:
                return party[0]
        self._count(stretch, [party for party, _ in parties])
        return None

    def count(self, record: CuratedRecord) -> None:
        """Count a record that was admitted before."""
        parties = [party for party, _ in _parties(record, self._base.caps)]
        if parties:
            self._count(self._stretch(record), parties)

    def merge(self) -> None:
        """Add the batch's counts, and forget all but the newest stretches."""
        counts = self._base.by_stretch
        for stretch, added in self._added.items():
            counts.setdefault(stretch, Counter()).update(added)
        for stretch in sorted(counts)[:-_REMEMBERED]:
            del counts[stretch]

    def _stretch(self, record: CuratedRecord) -> int:
        """Return the stretch a record counts in: its own, or the oldest remembered where its own is older."""
        own = int(record.arrival_time.timestamp()) // (self._base.caps.hours * 3600)
        remembered = sorted({*self._base.by_stretch, *self._added})[-_REMEMBERED:]
        return max(own, remembered[0]) if len(remembered) == _REMEMBERED else own

    def _counted(self, stretch: int, key: Key) -> int:
        return sum(counts[stretch][key] for counts in (self._base.by_stretch, self._added) if stretch in counts)

    def _remembered(self, stretch: int, party: Key) -> Key:
        if self._counted(stretch, party):
            return party
        met = len(self._base.by_stretch.get(stretch, ())) + self._met[stretch]
        return party if met < self._base.parties else (party[0], "")

    def _count(self, stretch: int, parties: list[Key]) -> None:
        for key in [self._remembered(stretch, party) for party in parties]:
            if not self._counted(stretch, key):
                self._met[stretch] += 1
            self._added.setdefault(stretch, Counter())[key] += 1


def _parties(record: CuratedRecord, caps: Caps) -> Iterator[tuple[Key, int]]:
    """Yield what a record counts toward, with the most that is allowed."""
    if caps.source is not None:
        yield ("cap.source", record.source), caps.source
    if caps.api_key is not None:
        yield ("cap.api_key", record.api_key_hash or ""), caps.api_key
    if caps.client is not None:
        yield ("cap.client", record.client), caps.client
    if caps.cluster is not None and record.kind == CuratedKind.VOTE:
        yield ("cap.cluster", record.cluster_id), caps.cluster
