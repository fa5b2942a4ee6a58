"""What a curated record ends as, a dead letter aside: a label or a discard; each names the place it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas import topics
from schemas.records import (
    CuratedKind,
    CuratedRecord,
    DiscardedRecord,
    DiscardReason,
    DiscardStage,
    LabelKind,
    LabelRecord,
    Provenance,
)
from schemas.rules.splits import split_of
from schemas.workload import Workload
from streams.core.dead_letter import origin_of
from streams.core.stage import Message, Output
from streams.label.prompting.prompt import prompt_sha256

_KINDS: Final = {
    CuratedKind.RECORD: LabelKind.LABEL, CuratedKind.VOTE: LabelKind.VOTE, CuratedKind.ANCHOR: LabelKind.ANCHOR,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelDecision:
    """A label, where it came from and what it cost."""

    label: str
    provenance: Provenance
    class_probabilities: dict[str, float] | None = None
    teacher_model: str | None = None
    calls: Mapping[str, int] = field(default_factory=dict)  # to the teacher, by purpose
    prompt_tokens: int = 0
    completion_tokens: int = 0
    batched: bool = False  # the calls went through batches
    paraphrases: tuple[str, ...] = ()


def labelled(workload: Workload, message: Message, record: CuratedRecord, verdict: LabelDecision) -> Output:
    """Return the record on `labels`."""
    label = LabelRecord(
        record_id=record.record_id,
        workload=record.workload,
        origin=origin_of(message),
        event_time=record.event_time,
        text=record.text,
        cluster_id=record.cluster_id,
        label=verdict.label,
        kind=_KINDS[record.kind],
        client=record.client,
        source=record.source,
        class_probabilities=verdict.class_probabilities,
        provenance=verdict.provenance,
        teacher_model=verdict.teacher_model,
        prompt_sha256=prompt_sha256(workload) if verdict.provenance is Provenance.TEACHER else None,
        teacher_calls=sum(verdict.calls.values()),
        calls=dict(verdict.calls),
        prompt_tokens=verdict.prompt_tokens,
        completion_tokens=verdict.completion_tokens,
        batched=verdict.batched,
        split=split_of(record.workload, record.cluster_id, workload.splits),
        audit=record.audit,
        selection_reason=record.selection_reason,
        propensity=1.0 if record.propensity is None else record.propensity,
        paraphrases=list(verdict.paraphrases),
        rollout_id=record.rollout_id,
        student_label=record.student_label,
        student_version=record.student_version,
        attributes=record.attributes,
    )
    return Output(topics.LABELS, message.partition, record.workload, label)


def discarded(message: Message, record: CuratedRecord, reason: DiscardReason, detail: str) -> Output:
    """Return the record on `discarded`."""
    ended = DiscardedRecord(
        record_id=record.record_id,
        workload=record.workload,
        origin=origin_of(message),
        event_time=record.event_time,
        stage=DiscardStage.LABEL,
        reason=reason,
        detail=detail,
        duplicate_of=record.duplicate_of,
        cluster_id=record.cluster_id,
    )
    return Output(topics.DISCARDED, message.partition, record.workload, ended)
