"""The curate stage: `traffic` -> `curated`, `discarded` or `dead-letters`; every traffic record ends in exactly one.

In order: decode, check, redact, normalise, tell duplicates, enrich. Nothing but `traffic` ever holds personal data, so
redaction comes before anything is stored, sent or logged. A record on another workload's partition is sent on, once.
A duplicate goes on as a vote where it carries another recorded answer, or where it was drawn for audit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from deploy.edge.framing import SINGLE_OBJECTS, Framing
from deploy.edge.settings import Settings
from schemas import ids
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import (
    AnsweredBy,
    CuratedKind,
    CuratedRecord,
    DiscardedRecord,
    DiscardReason,
    DiscardStage,
    TrafficRecord,
)  # fmt: skip
from schemas.rules import chat
from schemas.rules.normalise import normalise, text_key
from schemas.rules.partition import partition_of
from schemas.rules.redact import redact
from schemas.topics import CURATED, DISCARDED, PARTITIONS, TRAFFIC, Topic
from schemas.workload import Workload
from streams.curate.decode import decode_traffic
from streams.curate.duplicates import Duplicate, DuplicateIndex, Kept, Overlay, Recalled
from streams.curate.endings import cleaned, dead_letter, origin_of
from streams.curate.enrich import tickers, words
from streams.curate.validate import check_time, find_text
from streams.stage import Message, Output, Reader, Settlement

BATCH_RECORDS: Final = 5_000  # a commit takes 15-35 ms: at 2,000 a batch it costs half the throughput
REKEYED_HEADER: Final = "millrace-rekeyed-from"


class CurateStage:
    """Cleans traffic, once per text."""

    name = "curate"
    sources: tuple[Topic, ...] = (TRAFFIC,)
    batch_records = BATCH_RECORDS

    def __init__(
        self, settings: Settings, workloads: Mapping[str, Workload], framing: Framing = SINGLE_OBJECTS
    ) -> None:
        """Take the workloads whose traffic is curated.

        Args:
            settings: the worker's settings; curate needs none of them.
            workloads: by name.
            framing: reads values.
        """
        del settings
        self._workloads, self._framing = workloads, framing
        self._templates = {name: chat.template_fingerprint(workload) for name, workload in workloads.items()}
        self._indexes: dict[int, dict[str, DuplicateIndex]] = {}

    def assign(self, partition: int, reader: Reader) -> None:
        """Rebuild the partition's duplicate index from `curated`."""
        recalled: dict[str, Recalled] = {}
        for message in reader.read(CURATED, partition):
            if message.value:
                record = self._framing.decode(CuratedRecord, message.value)
                workload = self._workloads.get(record.workload)
                if workload is not None:
                    of = recalled.setdefault(workload.name, Recalled(workload.duplicates.horizon))
                    of.take(_kept(record))
        self._indexes[partition] = {name: self._new_index(name, of) for name, of in recalled.items()}

    def revoke(self, partition: int) -> None:
        """Forget the partition's duplicate index."""
        self._indexes.pop(partition, None)

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Curate a batch; in a thread, so that probes and the other stages go on."""
        return await asyncio.to_thread(self._process, messages)

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Return the dead letter of a message that our own code fails on."""
        detail = f"{type(error).__name__}: {error}"
        reason = DeadLetterReason.PROCESSING_FAILED
        return Settlement([dead_letter(message, reason, detail, None, attempts, self._framing)])

    async def tick(self, now: datetime) -> dict[int, Settlement]:
        """Nothing is due without a message."""
        del now
        return {}

    def _process(self, messages: Sequence[Message]) -> Settlement:
        settled = [self._cleaned(message) for message in messages]
        fresh: dict[tuple[int, str], list[tuple[str, str]]] = {}
        for message, one in zip(messages, settled, strict=True):
            if isinstance(one, CuratedRecord):
                fresh.setdefault((message.partition, one.workload), []).append((one.text_key, one.text))
        overlays = {place: self._index(*place).overlay(texts) for place, texts in fresh.items()}
        outputs = [
            _told_apart(message, one, overlays[message.partition, one.workload])
            if isinstance(one, CuratedRecord)
            else one
            for message, one in zip(messages, settled, strict=True)
        ]

        def merge() -> None:
            for overlay in overlays.values():
                overlay.merge()

        return Settlement(outputs, committed=merge)

    def _cleaned(self, message: Message) -> CuratedRecord | Output:
        """Return the record without personal data, or what becomes of a message that cannot be curated."""
        record: TrafficRecord | None = None
        try:
            record = decode_traffic(message, self._framing)
            workload = self._workload(record)
            home = partition_of(workload.name, PARTITIONS)
            if home != message.partition:
                return _rekeyed(message, record, home)
            check_time(record.event_time, message.appended, workload.limits)
            found = find_text(record, workload, self._templates[workload.name])
        except RecordRejected as rejected:
            name = record.workload if record else None
            return dead_letter(message, rejected.reason, rejected.detail, name, 1, self._framing)
        if isinstance(found, chat.Ineligible):
            return _filtered(message, record, f"only the teacher can answer: {found.reason}")
        curated = _clean(message, record, found)
        return (
            curated if curated.text else _filtered(message, record, "nothing is left of the text once it is normalised")
        )

    def _workload(self, record: TrafficRecord) -> Workload:
        workload = self._workloads.get(record.workload)
        if workload is None:
            raise RecordRejected(DeadLetterReason.UNKNOWN_WORKLOAD, "no workload file has this name")
        return workload

    def _index(self, partition: int, name: str) -> DuplicateIndex:
        indexes = self._indexes.setdefault(partition, {})
        if name not in indexes:
            indexes[name] = self._new_index(name)
        return indexes[name]

    def _new_index(self, name: str, recalled: Recalled | None = None) -> DuplicateIndex:
        duplicates = self._workloads[name].duplicates
        return DuplicateIndex(duplicates.similarity, duplicates.horizon, recalled)


def _told_apart(message: Message, curated: CuratedRecord, overlay: Overlay) -> Output:
    found = overlay.find(curated.record_id, curated.text_key, curated.answer)
    if found is None:
        overlay.add(curated.record_id, curated.text_key, curated.answer)
    elif _is_vote(curated, found):
        overlay.add_vote(curated.record_id, found.cluster_id)
        curated = replace(curated, kind=CuratedKind.VOTE, duplicate_of=found.record_id, cluster_id=found.cluster_id)
    else:
        return _duplicate(message, curated, found)
    return Output(CURATED, message.partition, curated.workload, curated)


def _kept(record: CuratedRecord) -> Kept:
    return Kept(
        record.record_id, record.cluster_id, record.text_key, record.text, record.answer,
        vote=record.kind == CuratedKind.VOTE,
    )  # fmt: skip


def _clean(message: Message, record: TrafficRecord, found: chat.Found) -> CuratedRecord:
    redacted = redact(found.text)
    text = normalise(redacted.text)
    record_id = ids.record_id(record.workload, record.id, message.partition, message.offset)
    answer = None if record.answer is None else normalise(redact(record.answer).text)
    return CuratedRecord(
        record_id=record_id,
        workload=record.workload,
        origin=origin_of(message),
        event_time=record.event_time,
        arrival_time=message.appended,
        text=text,
        text_key=text_key(record.workload, text, found.template),
        cluster_id=record_id,
        client=cleaned(record.client) or "",
        source=cleaned(record.source) or "",
        redactions=redacted.counts,
        tickers=tickers(text),
        words=words(text),
        template=found.template,
        answer=answer,
        answered_by=record.answered_by,
        model=cleaned(record.model),
        model_digest=cleaned(record.model_digest),
        audit=record.audit,
        selection_reason=cleaned(record.selection_reason),
        propensity=record.propensity,
        rollout_id=cleaned(record.rollout_id),
        variant=cleaned(record.variant),
        attributes={redact(name).text: redact(value).text for name, value in record.attributes.items()},
    )


def _is_vote(curated: CuratedRecord, found: Duplicate) -> bool:
    """Tell whether a duplicate says something new: another answer, unless a student's; or it was drawn for audit."""
    if found.reason == DiscardReason.DUPLICATE_ID:
        return False  # the same record, sent again
    return curated.audit or (found.another_answer and curated.answered_by != AnsweredBy.STUDENT)


def _duplicate(message: Message, curated: CuratedRecord, found: Duplicate) -> Output:
    return _discarded(
        message, curated.record_id, curated.workload, curated.event_time,
        reason=found.reason, duplicate_of=found.record_id, cluster_id=found.cluster_id,
    )  # fmt: skip


def _filtered(message: Message, record: TrafficRecord, detail: str) -> Output:
    record_id = ids.record_id(record.workload, record.id, message.partition, message.offset)
    return _discarded(
        message, record_id, record.workload, record.event_time, reason=DiscardReason.FILTERED, detail=detail
    )


def _discarded(message: Message, record_id: str, workload: str, event_time: datetime, **why: Any) -> Output:
    record = DiscardedRecord(
        record_id=record_id, workload=workload, origin=origin_of(message), event_time=event_time,
        stage=DiscardStage.CURATE, **why,
    )  # fmt: skip
    return Output(DISCARDED, message.partition, workload, record)


def _rekeyed(message: Message, record: TrafficRecord, home: int) -> Output:
    """Send a record to its workload's partition, with its place as a header.

    Raises:
        RecordRejected: it was sent on before and is wrong again: partitions must have been added.
    """
    if any(name == REKEYED_HEADER for name, _ in message.headers):
        raise RecordRejected(
            DeadLetterReason.BAD_FIELD, f"on partition {message.partition} instead of {home} after it was sent on once"
        )
    headers = [(name, value) for name, value in message.headers if value is not None]
    headers.append((REKEYED_HEADER, f"{message.partition}:{message.offset}".encode()))
    return Output(TRAFFIC, home, record.workload, record, tuple(headers))
