"""What curate writes to `discarded`: duplicates, filtered records, and requests that no student may answer."""

from __future__ import annotations

from typing import Any

from schemas.records import CuratedRecord, DiscardedRecord, DiscardReason, DiscardStage, TrafficRecord
from schemas.topics import DISCARDED
from streams.core.dead_letter import origin_of
from streams.core.stage import Message, Output
from streams.curate.duplicates import Duplicate
from streams.curate.quality import ELIGIBILITY


def ineligible(message: Message, record_id: str, record: TrafficRecord, reason: str) -> Output:
    """End a request that only the teacher can answer."""
    return _discarded(
        message,
        record_id=record_id,
        workload=record.workload,
        event_time=record.event_time,
        reason=DiscardReason.FILTERED,
        rule=ELIGIBILITY,
        detail=f"only the teacher can answer: {reason}",
    )


def duplicate(message: Message, curated: CuratedRecord, found: Duplicate) -> Output:
    """End a record that says nothing new."""
    return _discarded(
        message,
        record_id=curated.record_id,
        workload=curated.workload,
        event_time=curated.event_time,
        reason=found.reason,
        duplicate_of=found.record_id,
        cluster_id=found.cluster_id,
    )


def filtered(message: Message, curated: CuratedRecord, rule: str, detail: str = "") -> Output:
    """End a record, or a vote, that a rule refuses."""
    return _discarded(
        message,
        record_id=curated.record_id,
        workload=curated.workload,
        event_time=curated.event_time,
        reason=DiscardReason.FILTERED,
        rule=rule,
        detail=detail,
        duplicate_of=curated.duplicate_of,
        cluster_id=curated.cluster_id if curated.duplicate_of else None,
    )


def _discarded(message: Message, **fields: Any) -> Output:
    record = DiscardedRecord(origin=origin_of(message), stage=DiscardStage.CURATE, **fields)
    return Output(DISCARDED, message.partition, record.workload, record)
