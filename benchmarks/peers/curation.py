"""Curation record by record, by our rules: what the peers and the bare client do to each record.

The same public rules as the curate stage calls, in its order, each in its form for one record, with the same endings:
`benchmarks.streams` compares them and refuses to print a ratio where they differ. What is missing is what makes a
stage: batches, an overlay that an abort drops, a rebuild. Its memory of earlier texts is lost with its process.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.duplicates import Repeated, Seen
from deploy.edge.privacy.redactor import Redactor, redactors
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from schemas import ids
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import AnsweredBy, CuratedKind, CuratedRecord, DiscardReason, TrafficRecord
from schemas.rules import chat
from schemas.rules.normalise import normalise, text_key
from schemas.rules.places import first_place
from schemas.rules.privacy.redact import Redacted, redact
from schemas.topics import CURATED, DEAD_LETTERS, DISCARDED, TRAFFIC, Topic
from schemas.workload import Workload
from streams.core.dead_letter import dead_letter, origin_of
from streams.core.stage import Message, Output
from streams.curate import blend, discards, language
from streams.curate.caps import CapCounts, CapOverlay
from streams.curate.classifier import load
from streams.curate.decode import decode_traffic
from streams.curate.duplicates import Duplicate
from streams.curate.enrich import Enrichment, enrich
from streams.curate.quality import EMPTY, QualityFilter
from streams.curate.redaction import cleaned, cleaned_attributes, redacted_payload
from streams.curate.validate import check_exchange, check_time, find_text

ENDINGS: Final[tuple[Topic, ...]] = (CURATED, DISCARDED, DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class _Rules:
    """One workload's rules and its memory."""

    workload: Workload
    template: str
    redactor: Redactor
    quality: QualityFilter
    wants_language: bool
    seen: Seen
    caps: CapOverlay


@dataclass(frozen=True, slots=True)
class _Clean:
    """A record's text as it is kept."""

    record_id: str
    template: str
    redacted: Redacted
    text: str
    text_key: str
    enrichment: Enrichment


class Curation:
    """The curate stage's rules for one record at a time."""

    def __init__(self, settings: Settings) -> None:
        self._framing = Framing(settings)
        workloads = settings.workloads()
        redactor = redactors(workloads)
        self._rules = {
            name: _rules(workload, redactor[name], settings.workloads_dir) for name, workload in workloads.items()
        }

    def __call__(
        self, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Any, appended_ms: int
    ) -> tuple[Topic, bytes]:
        """Return where a traffic record ends, and as what bytes."""
        appended = datetime.fromtimestamp(appended_ms / 1000, UTC)
        output = self._ended(Message(TRAFFIC, partition, offset, key, value, tuple(headers or ()), appended))
        return output.topic, self._framing.encode(output.topic, output.record)

    def _ended(self, message: Message) -> Output:
        record: TrafficRecord | None = None
        try:
            record = decode_traffic(message, self._framing)
            rules = self._rules_of(record)
            limits = rules.workload.limits
            check_exchange(record, len(message.value or b""), limits)
            check_time(record.event_time, message.appended, limits)
            found = find_text(record, rules.workload, rules.template)
        except RecordRejected as rejected:
            named = (message.key or b"").decode(errors="replace")
            known = named if named in self._rules else None
            return dead_letter(
                message,
                "curate",
                rejected,
                redacted_payload(message.value or b"", self._framing),
                workload=record.workload if record else known,
                record_id=_id_of(message, record) if record else None,
            )
        if isinstance(found, chat.Ineligible):
            return discards.ineligible(message, _id_of(message, record), record, found.reason)
        return _decided(message, record, _clean(message, record, found, rules), rules)

    def _rules_of(self, record: TrafficRecord) -> _Rules:
        rules = self._rules.get(record.workload)
        if rules is None:
            raise RecordRejected(DeadLetterReason.UNKNOWN_WORKLOAD, "no workload file has this name")
        return rules


def _rules(workload: Workload, redactor: Redactor, folder: Path) -> _Rules:
    quality = workload.quality
    model = None if quality.classifier is None else load(folder / quality.classifier, quality.classifier_threshold)
    return _Rules(
        workload,
        chat.template_fingerprint(workload),
        redactor,
        QualityFilter(quality, model),
        language.is_wanted(workload),
        Seen(workload.duplicates),
        CapCounts(workload.caps).overlay(),
    )


def _id_of(message: Message, record: TrafficRecord) -> str:
    return ids.record_id(record.workload, record.id, *first_place(message.headers, message.partition, message.offset))


def _clean(message: Message, record: TrafficRecord, found: chat.FoundText, rules: _Rules) -> _Clean:
    redacted = redact(found.text, rules.redactor.policy(record.source))
    text = normalise(redacted.text)
    enrichment = enrich(text, language.languages_of([text])[0] if rules.wants_language else None)
    key = text_key(record.workload, text, found.template)
    return _Clean(_id_of(message, record), found.template, redacted, text, key, enrichment)


def _decided(message: Message, record: TrafficRecord, clean: _Clean, rules: _Rules) -> Output:
    """Filter a record, or find what it duplicates."""
    if not clean.text:
        curated = _record(message, record, clean, rules)
        return discards.filtered(message, curated, EMPTY, "nothing is left of the text once it is normalised")
    found = rules.seen.find(clean.record_id, clean.text_key, clean.text)
    if isinstance(found, Repeated):
        return _repeated(message, record, clean, found, rules)
    curated = _record(message, record, clean, rules)
    refused = rules.quality.refusal(clean.text, clean.enrichment)
    if refused is None and not blend.stays(clean.text_key, curated.source, rules.workload.blend, audit=curated.audit):
        refused = blend.RULE
    refused = refused or rules.caps.admit(curated)
    if refused is not None:
        return discards.filtered(message, curated, refused)
    rules.seen.add(curated.record_id, curated.text_key, curated.answer, found)
    return Output(CURATED, message.partition, curated.workload, curated)


def _repeated(message: Message, record: TrafficRecord, clean: _Clean, found: Repeated, rules: _Rules) -> Output:
    """Let a duplicate go on as a vote where it says something new."""
    curated = _record(message, record, clean, rules, found)
    contested = rules.seen.contested(found.cluster_id)
    another = curated.answer is not None and (curated.answer != found.answer or contested)
    is_vote = curated.audit or (another and curated.answered_by != AnsweredBy.STUDENT)
    if found.reason == DiscardReason.DUPLICATE_ID or not is_vote:
        repeated = Duplicate(found.reason, found.record_id, found.cluster_id, another_answer=another)
        return discards.duplicate(message, curated, repeated)
    refused = rules.caps.admit(curated)
    if refused is not None:
        return discards.filtered(message, curated, refused, "one vote too many")
    rules.seen.add_vote(curated.record_id, found.cluster_id, curated.answer)
    return Output(CURATED, message.partition, curated.workload, curated)


def _record(
    message: Message, record: TrafficRecord, clean: _Clean, rules: _Rules, vote_on: Repeated | None = None
) -> CuratedRecord:
    policy = rules.redactor.policy(record.source)
    enrichment = clean.enrichment
    source, propensity = cleaned(record.source, policy) or "", record.propensity
    if vote_on is None:
        propensity = blend.propensity(propensity, source, rules.workload.blend, audit=record.audit)
    return CuratedRecord.unchecked(
        record_id=clean.record_id,
        kind=CuratedKind.RECORD if vote_on is None else CuratedKind.VOTE,
        workload=record.workload,
        client=cleaned(record.client, policy) or "",
        client_version=cleaned(record.client_version, policy),
        source=source,
        api_key_hash=record.api_key_hash,
        origin=origin_of(message),
        event_time=record.event_time,
        arrival_time=message.appended,
        text=clean.text,
        text_key=clean.text_key,
        cluster_id=clean.record_id if vote_on is None else vote_on.cluster_id,
        duplicate_of=None if vote_on is None else vote_on.record_id,
        redactions=clean.redacted.counts,
        language=enrichment.language,
        tickers=enrichment.tickers,
        words=enrichment.words,
        characters=enrichment.characters,
        numbers=enrichment.numbers,
        currencies=enrichment.currencies,
        template=clean.template,
        answer=None if record.answer is None else normalise(redact(record.answer, policy).text),
        answered_by=record.answered_by,
        model=cleaned(record.model, policy),
        model_digest=cleaned(record.model_digest, policy),
        audit=record.audit,
        selection_reason=cleaned(record.selection_reason, policy),
        propensity=propensity,
        rollout_id=cleaned(record.rollout_id, policy),
        variant=cleaned(record.variant, policy),
        student_label=cleaned(record.student_label, policy),
        student_version=cleaned(record.student_version, policy),
        attributes=cleaned_attributes(record.attributes, policy) if record.attributes else {},
    )
