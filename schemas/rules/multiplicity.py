"""How many requests a near-duplicate cluster stands for, as far as `discarded` still knows them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.records import DiscardedRecord, DiscardReason


def duplicates_of(discarded: Iterable[DiscardedRecord]) -> dict[str, int]:
    """Return for each cluster how many duplicates of it were discarded; a retry under its own id is no new request."""
    return Counter(
        record.cluster_id
        for record in discarded
        if record.duplicate_of and record.cluster_id and record.reason is not DiscardReason.DUPLICATE_ID
    )
