"""Second answers about labels: which suspects are asked about, and what is written for an answer. Pure.

A correction names the offset of the label it corrects and repeats nothing of its text. One is written for every answer,
also where it repeats the label: it carries what it cost, and the label is not asked about in the same words again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from deploy.edge.topics.reading import Placed
from schemas.records import DeadLetter, Header, LabelKind, LabelRecord, Origin, Provenance, Record, Split
from schemas.rules.spend import cost_of
from schemas.topics import LABELS


class Why(StrEnum):
    """Why a suspect is not asked about."""

    GONE = "not on `labels` (erased, too old, or a paraphrase)"
    NOT_TRAINING = "no training label"
    ASKED = "asked in these words before"
    CHANGED = "has another label now"


class Wording(NamedTuple):
    """What distinguishes one question from another: its prompt, and the teacher's name as the workload has it."""

    prompt_sha256: str | None
    teacher: str

    def is_of(self, said: LabelRecord) -> bool:
        """Return whether an answer is to this question: endpoints add dates and sizes to a model's name."""
        return said.prompt_sha256 == self.prompt_sha256 and (said.teacher_model or "").startswith(self.teacher)

    def headers(self) -> list[Header]:
        """Return it as a dead letter carries it."""
        return [Header(name=name, value=(value or "").encode()) for name, value in self._asdict().items()]


@dataclass(slots=True)
class LabelHistory:
    """A record's last label, and the second answers since."""

    offset: int
    record: LabelRecord
    again: list[LabelRecord] = field(default_factory=list)  # its corrections, in offset order
    refused: list[list[Header]] = field(default_factory=list)  # wordings of questions that got no label

    @property
    def second(self) -> str | None:
        """Return the last second answer, if there is one."""
        return self.again[-1].label if self.again else None


def histories(asked: Iterable[Placed[Record]], record_ids: Container[str]) -> dict[str, LabelHistory]:
    """Return each record's history on `labels`; dead letters come first, labels in offset order, of one workload."""
    found: dict[str, LabelHistory] = {}
    refused: defaultdict[tuple[str, int], list[list[Header]]] = defaultdict(list)
    for offset, _, record in asked:
        if isinstance(record, DeadLetter) and record.origin.topic == LABELS.name:
            refused[record.record_id or "", record.origin.offset].append(record.headers)
        if not isinstance(record, LabelRecord) or record.record_id not in record_ids:
            continue
        if record.kind is LabelKind.ERASURE:
            found.pop(record.record_id, None)
        elif record.kind in (LabelKind.LABEL, LabelKind.VOTE):
            found[record.record_id] = LabelHistory(offset, record, refused=refused[record.record_id, offset])
        elif record.kind is LabelKind.CORRECTION:
            known = found.get(record.record_id)
            if known is not None and known.offset == record.origin.offset:
                known.again.append(record)
    return found


def sifted(
    suspects: Sequence[Mapping[str, Any]], found: Mapping[str, LabelHistory], wording: Wording
) -> tuple[list[LabelHistory], Counter[Why]]:
    """Return what is to be asked about, in the order of the suspects, and why the rest is not.

    Args:
        suspects: rows of a run's list.
        found: their histories.
        wording: of the current question.
    """
    asked: list[LabelHistory] = []
    passed: Counter[Why] = Counter()
    for row in suspects:
        why = _why_not(row, found.get(row["record_id"]), wording)
        if why is None:
            asked.append(found[row["record_id"]])
        else:
            passed[why] += 1
    return asked, passed


def _why_not(row: Mapping[str, Any], one: LabelHistory | None, wording: Wording) -> Why | None:
    if one is None:
        return Why.GONE
    if one.record.split is not Split.TRAIN:
        return Why.NOT_TRAINING
    if any(map(wording.is_of, one.again)) or wording.headers() in one.refused:
        return Why.ASKED
    return None if (one.second or one.record.label) == row["teacher"] else Why.CHANGED


def written(
    one: LabelHistory, partition: int, wording: Wording, answer: LabelRecord | DeadLetter | None
) -> LabelRecord | DeadLetter | None:
    """Return what is written for an answer; None: nothing was asked, or nothing that a ledger counts.

    The calls of a refused question are on a dead letter. It ends no record, holds nothing of the text, and names the
    question, so that it is not asked again.
    """
    origin = Origin(topic=LABELS.name, partition=partition, offset=one.offset)
    if isinstance(answer, LabelRecord):
        return correction(one.record, origin, answer)
    if answer is None or cost_of(answer) is None:
        return None
    return replace(
        answer,
        detail=f"asked again: {answer.detail}"[:1_000],
        origin=origin,
        record_id=one.record.record_id,
        payload=b"",
        payload_bytes=0,
        payload_sha256=sha256(b"").hexdigest(),
        headers=wording.headers(),
    )


def correction(record: LabelRecord, origin: Origin, said: LabelRecord) -> LabelRecord:
    """Return the correction of the label at an offset of `labels`."""
    return LabelRecord(
        record_id=record.record_id,
        workload=record.workload,
        origin=origin,
        event_time=record.event_time,
        text="",
        cluster_id=record.cluster_id,
        label=said.label,
        kind=LabelKind.CORRECTION,
        class_probabilities=said.class_probabilities,
        provenance=Provenance.TEACHER,
        teacher_model=said.teacher_model,
        prompt_sha256=said.prompt_sha256,
        teacher_calls=said.teacher_calls,
        calls=said.calls,
        prompt_tokens=said.prompt_tokens,
        completion_tokens=said.completion_tokens,
        batched=said.batched,
        split=record.split,
    )
