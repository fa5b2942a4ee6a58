"""How many requests a near-duplicate cluster represents, as far as our topics still hold them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas.records import DiscardedRecord, DiscardReason, LabelKind, LabelRecord


def duplicates_of(records: Iterable[DiscardedRecord | LabelRecord]) -> dict[str, int]:
    """Return for each cluster its further requests: discarded duplicates, and votes that were labelled.

    A retry under its own id is no new request. A vote is labelled or discarded, never both.
    """
    return Counter(record.cluster_id for record in records if record.cluster_id and _is_further(record))


def _is_further(record: DiscardedRecord | LabelRecord) -> bool:
    if isinstance(record, LabelRecord):
        return record.kind is LabelKind.VOTE
    return bool(record.duplicate_of) and record.reason is not DiscardReason.DUPLICATE_ID
