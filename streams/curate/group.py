"""A batch's candidates of one workload, step by step and each step over all of them: the work of curate.

    normalise -> redact -> text keys -> enrich -> quality -> sketches, and then one by one, for each decision depends
    on those before it: duplicate or vote -> blend -> caps -> remember

A record that is filtered is not remembered: a duplicate names a record that is in `curated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.edge.privacy.redactor import Redactor
from schemas.records import AnsweredBy, CuratedKind, CuratedRecord, DiscardReason, TrafficRecord
from schemas.rules.normalise import normalise, normalise_all, text_key
from schemas.topics import CURATED
from schemas.workload import Workload
from streams.core.dead_letter import origin_of
from streams.core.stage import Output
from streams.curate import blend, discards, language
from streams.curate.classifier import load
from streams.curate.duplicates import Duplicate
from streams.curate.enrich import Enrichment, enrich_all
from streams.curate.intake import Candidate
from streams.curate.quality import EMPTY, QualityFilter
from streams.curate.redaction import cleaned, cleaned_attributes
from streams.curate.state import PartitionState, WorkloadOverlay


class Clean(NamedTuple):
    """What the batch's steps made of a candidate."""

    text: str  # redacted and normalised
    text_key: str
    redactions: dict[str, int]
    answer: str | None  # redacted and normalised, where one was recorded
    enrichment: Enrichment
    refused: str | None  # the name of the quality rule that refuses the text


class GroupCurator:
    """Curates the candidates of one workload."""

    def __init__(self, workload: Workload, redactor: Redactor, folder: Path) -> None:
        """Prepare the workload's rules.

        Args:
            workload: the candidates'.
            redactor: its own.
            folder: that a classifier's path is relative to.

        Raises:
            WorkloadError: the workload's classifier cannot be used.
        """
        rules = workload.quality
        model = None if rules.classifier is None else load(folder / rules.classifier, rules.classifier_threshold)
        self._workload = workload
        self._redactor = redactor
        self._quality = QualityFilter(rules, model)
        self._wants_language = language.is_wanted(workload)
        if self._wants_language:
            language.load()

    def curate(self, candidates: Sequence[Candidate], state: PartitionState) -> tuple[list[Output], WorkloadOverlay]:
        """Return what ends each candidate, in their order, and the view that remembers what is kept."""
        cleaned = self._cleaned(candidates)
        view = state.view(self._workload, ((clean.text_key, clean.text) for clean in cleaned if clean.text))
        return [self._decide(*pair, view) for pair in zip(candidates, cleaned, strict=True)], view

    def _cleaned(self, candidates: Sequence[Candidate]) -> list[Clean]:
        sources = [candidate.record.source for candidate in candidates]
        plain = normalise_all([candidate.text for candidate in candidates])
        redacted = self._redactor.redact_all(plain, sources)  # of normalised texts, normalised ones come back
        texts = [one.text for one in redacted]
        keys = [
            text_key(self._workload.name, text, candidate.template)
            for candidate, text in zip(candidates, texts, strict=True)
        ]
        languages = language.languages_of(texts) if self._wants_language else None
        enrichments = enrich_all(texts, languages)
        refused = self._quality.refusals(texts, enrichments)
        answers = [self._answer(candidate.record) for candidate in candidates]
        return list(map(Clean, texts, keys, [one.counts for one in redacted], answers, enrichments, refused))

    def _decide(self, candidate: Candidate, clean: Clean, view: WorkloadOverlay) -> Output:
        message = candidate.message
        if not clean.text:
            curated = self._record(candidate, clean)
            return discards.filtered(message, curated, EMPTY, "nothing is left of the text once it is normalised")
        found = view.duplicates.find(candidate.record_id, clean.text_key, clean.answer)
        if found is not None:
            return self._repeated(candidate, clean, found, view)
        curated = self._record(candidate, clean)
        rule = clean.refused
        if rule is None and not blend.stays(clean.text_key, curated.source, self._workload.blend, audit=curated.audit):
            rule = blend.RULE
        rule = rule or view.caps.admit(curated)
        if rule is not None:
            return discards.filtered(message, curated, rule)
        view.duplicates.add(curated.record_id, curated.text_key, curated.answer)
        return Output(CURATED, message.partition, curated.workload, curated)

    def _repeated(self, candidate: Candidate, clean: Clean, found: Duplicate, view: WorkloadOverlay) -> Output:
        """Let a duplicate go on as a vote where it says something new."""
        curated = self._record(candidate, clean, found)
        if not _is_vote(curated, found):
            return discards.duplicate(candidate.message, curated, found)
        rule = view.caps.admit(curated)
        if rule is not None:
            return discards.filtered(candidate.message, curated, rule, "one vote too many")
        view.duplicates.add_vote(curated.record_id, found.cluster_id, curated.answer)
        return Output(CURATED, candidate.message.partition, curated.workload, curated)

    def _record(self, candidate: Candidate, clean: Clean, vote_on: Duplicate | None = None) -> CuratedRecord:
        record = candidate.record
        enrichment = clean.enrichment
        policy = self._redactor.policy(record.source)
        source = cleaned(record.source, policy) or ""
        kind, cluster_id = CuratedKind.RECORD, candidate.record_id
        propensity = record.propensity
        duplicate_of: str | None = None
        if vote_on is None:
            propensity = blend.propensity(propensity, source, self._workload.blend, audit=record.audit)
        else:
            kind, cluster_id = CuratedKind.VOTE, vote_on.cluster_id
            duplicate_of = vote_on.record_id
        return CuratedRecord.unchecked(
            record_id=candidate.record_id,
            kind=kind,
            workload=record.workload,
            client=cleaned(record.client, policy) or "",
            client_version=cleaned(record.client_version, policy),
            source=source,
            api_key_hash=record.api_key_hash,
            origin=origin_of(candidate.message),
            event_time=record.event_time,
            arrival_time=candidate.message.appended,
            text=clean.text,
            text_key=clean.text_key,
            cluster_id=cluster_id,
            duplicate_of=duplicate_of,
            redactions=clean.redactions,
            language=enrichment.language,
            tickers=enrichment.tickers,
            words=enrichment.words,
            characters=enrichment.characters,
            numbers=enrichment.numbers,
            currencies=enrichment.currencies,
            template=candidate.template,
            answer=clean.answer,
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
            attributes=cleaned_attributes(record.attributes, policy),
        )

    def _answer(self, record: TrafficRecord) -> str | None:
        if record.answer is None:
            return None
        return self._redactor.redact(normalise(record.answer), record.source).text


def _is_vote(curated: CuratedRecord, found: Duplicate) -> bool:
    """Return whether a duplicate counts as a vote: it has another answer, not of a student, or an audit drew it."""
    if found.reason == DiscardReason.DUPLICATE_ID:
        return False  # the same record, sent again
    return curated.audit or (found.another_answer and curated.answered_by != AnsweredBy.STUDENT)
