"""Curation record by record, by our rules: what the peers and the bare client do to each record.

The same public rules as the curate stage calls, in its order, with the same endings to the letter: `benchmarks.streams`
compares them and refuses to print a ratio where they differ. What is missing is what makes a stage: batches, an overlay
that an abort drops, a rebuild. Its memory of earlier texts is lost with its process.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from deploy.edge.framing import Framing
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
    Record,
    TrafficRecord,
)
from schemas.rules import chat
from schemas.rules.normalise import normalise, text_key
from schemas.rules.places import first_place
from schemas.rules.redact import redact
from schemas.topics import CURATED, DEAD_LETTERS, DISCARDED, TRAFFIC, Topic
from streams.curate.decode import decode_traffic
from streams.curate.duplicates import Duplicate, DuplicateIndex, Member, grams, sketch_of
from streams.curate.endings import cleaned, dead_letter, origin_of
from streams.curate.enrich import tickers, words
from streams.curate.validate import check_time, find_text
from streams.stage import Message

ENDINGS: Final[tuple[Topic, ...]] = (CURATED, DISCARDED, DEAD_LETTERS)


class Curation:
    """The curate stage's rules for one record at a time."""

    def __init__(self, settings: Settings) -> None:
        self._workloads, self._framing = settings.workloads(), Framing(settings)
        self._templates = {name: chat.template_fingerprint(workload) for name, workload in self._workloads.items()}
        self._indexes = {
            name: DuplicateIndex(workload.duplicates.similarity, workload.duplicates.horizon)
            for name, workload in self._workloads.items()
        }

    def __call__(
        self, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Any, appended_ms: int
    ) -> tuple[Topic, bytes]:
        """Return where a traffic record ends, and as what bytes."""
        appended = datetime.fromtimestamp(appended_ms / 1000, UTC)
        topic, record = self._ended(Message(TRAFFIC, partition, offset, key, value, tuple(headers or ()), appended))
        return topic, self._framing.encode(topic, record)

    def _ended(self, message: Message) -> tuple[Topic, Record]:
        try:
            record = decode_traffic(message, self._framing)
        except RecordRejected as rejected:
            return _rejected(message, rejected, None, None, self._framing)
        record_id = ids.record_id(
            record.workload, record.id, *first_place(message.headers, message.partition, message.offset)
        )
        try:
            workload = self._workloads.get(record.workload)
            if workload is None:
                raise RecordRejected(DeadLetterReason.UNKNOWN_WORKLOAD, "no workload file has this name")  # noqa: TRY301
            check_time(record.event_time, message.appended, workload.limits)
            found = find_text(record, workload, self._templates[workload.name])
        except RecordRejected as rejected:
            return _rejected(message, rejected, record.workload, record_id, self._framing)
        if isinstance(found, chat.Ineligible):
            detail = f"only the teacher can answer: {found.reason}"
            return _discarded(message, record, record_id, reason=DiscardReason.FILTERED, detail=detail)
        curated = _clean(message, record, record_id, found)
        if not curated.text:
            detail = "nothing is left of the text once it is normalised"
            return _discarded(message, record, record_id, reason=DiscardReason.FILTERED, detail=detail)
        return self._told_apart(message, record, curated)

    def _told_apart(self, message: Message, record: TrafficRecord, curated: CuratedRecord) -> tuple[Topic, Record]:
        index = self._indexes[curated.workload]
        found = _find(index, curated)
        if not isinstance(found, Duplicate):
            index.add(Member(curated.record_id, curated.text_key, curated.answer, found[0]), found[1])
            return CURATED, curated
        another = curated.answer is not None and curated.answer != found.answer
        is_vote = curated.audit or (another and curated.answered_by != AnsweredBy.STUDENT)
        if found.reason == DiscardReason.DUPLICATE_ID or not is_vote:
            return _discarded(
                message, record, curated.record_id,
                reason=found.reason, duplicate_of=found.record_id, cluster_id=found.cluster_id,
            )  # fmt: skip
        index.add_id(curated.record_id, found.cluster_id)
        vote: dict[str, Any] = {
            "kind": CuratedKind.VOTE,
            "duplicate_of": found.record_id,
            "cluster_id": found.cluster_id,
        }
        return CURATED, replace(curated, **vote)


def _find(index: DuplicateIndex, curated: CuratedRecord) -> Duplicate | tuple[Any, Any]:
    """Return what a record duplicates, or the grams and the sketch that it is to be added with."""
    cluster = index.by_id(curated.record_id)
    if cluster is not None:
        return Duplicate(DiscardReason.DUPLICATE_ID, curated.record_id, cluster, None)
    same = index.by_text(curated.text_key)
    if same is not None:
        return Duplicate(DiscardReason.DUPLICATE_TEXT, same.record_id, same.record_id, same.answer)
    found = grams(curated.text)
    sketch = sketch_of(found)
    near = None if sketch is None else index.nearest(found, sketch)
    if near is not None:
        _, _, member = near
        return Duplicate(DiscardReason.NEAR_DUPLICATE, member.record_id, member.record_id, member.answer)
    return found, sketch


def _clean(message: Message, record: TrafficRecord, record_id: str, found: chat.Found) -> CuratedRecord:
    redacted = redact(found.text)
    text = normalise(redacted.text)
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
        answer=None if record.answer is None else normalise(redact(record.answer).text),
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


def _discarded(message: Message, record: TrafficRecord, record_id: str, **why: Any) -> tuple[Topic, Record]:
    return DISCARDED, DiscardedRecord(
        record_id=record_id, workload=record.workload, origin=origin_of(message), event_time=record.event_time,
        stage=DiscardStage.CURATE, **why,
    )  # fmt: skip


def _rejected(
    message: Message, rejected: RecordRejected, workload: str | None, record_id: str | None, framing: Framing
) -> tuple[Topic, Record]:
    letter = dead_letter(message, rejected.reason, rejected.detail, workload, 1, framing, record_id)
    return letter.topic, letter.record
