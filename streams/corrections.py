"""Second answers about labels: which suspects are asked about, and what is written of an answer. Pure.

A correction names the place of the label it corrects and repeats nothing of its text. One is written for every answer,
also where it repeats the label: it carries what it cost, and the label is not asked about in the same words again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any

from deploy.edge.partitions import Placed
from schemas.records import DeadLetter, LabelKind, LabelRecord, Origin, Provenance, Split
from schemas.rules.spend import cost_of
from schemas.topics import LABELS


class Why(StrEnum):
    """Why a suspect is not asked about."""

    GONE = "not on `labels` (erased, too old, or a paraphrase)"
    NOT_TRAINING = "no training label"
    ASKED = "asked in these words before"
    CHANGED = "has another label by now"


@dataclass(slots=True)
class Standing:
    """A record's last label, and what was said of it since."""

    offset: int
    record: LabelRecord
    again: list[LabelRecord] = field(default_factory=list)  # its corrections, in offset order

    @property
    def second(self) -> str | None:
        """Return the last second answer, if there is one."""
        return self.again[-1].label if self.again else None


def standing(labels: Iterable[Placed[LabelRecord]], record_ids: Container[str]) -> dict[str, Standing]:
    """Return by record what stands on `labels` (of one workload, in offset order)."""
    found: dict[str, Standing] = {}
    for offset, _, record in labels:
        if record.record_id not in record_ids:
            continue
        if record.kind is LabelKind.ERASURE:
            found.pop(record.record_id, None)
        elif record.kind in (LabelKind.LABEL, LabelKind.VOTE):
            found[record.record_id] = Standing(offset, record)
        elif record.kind is LabelKind.CORRECTION:
            known = found.get(record.record_id)
            if known is not None and known.offset == record.origin.offset:
                known.again.append(record)
    return found


def sifted(
    suspects: Sequence[Mapping[str, Any]],
    found: Mapping[str, Standing],
    prompt_sha256: str,
    is_now: Callable[[str | None], bool],
) -> tuple[list[Standing], Counter[Why]]:
    """Return what is to be asked about, in the order of the suspects, and why the rest is not.

    Args:
        suspects: rows of a run's list.
        found: what stands of them.
        prompt_sha256: of the question.
        is_now: whether a name is that of the teacher of now.
    """
    asked: list[Standing] = []
    passed: Counter[Why] = Counter()
    for row in suspects:
        why = _why_not(row, found.get(row["record_id"]), prompt_sha256, is_now)
        if why is None:
            asked.append(found[row["record_id"]])
        else:
            passed[why] += 1
    return asked, passed


def _why_not(
    row: Mapping[str, Any], one: Standing | None, prompt_sha256: str, is_now: Callable[[str | None], bool]
) -> Why | None:
    if one is None:
        return Why.GONE
    if one.record.split is not Split.TRAIN:
        return Why.NOT_TRAINING
    if any(said.prompt_sha256 == prompt_sha256 and is_now(said.teacher_model) for said in one.again):
        return Why.ASKED
    return None if (one.second or one.record.label) == row["teacher"] else Why.CHANGED


def written(one: Standing, partition: int, answer: LabelRecord | DeadLetter | None) -> LabelRecord | DeadLetter | None:
    """Return what is written of an answer; None: nothing was asked, or nothing that a ledger counts.

    Of a refused question a dead letter stands for its calls. It ends no record, and holds nothing of the text.
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
    )


def correction(record: LabelRecord, origin: Origin, said: LabelRecord) -> LabelRecord:
    """Return the correction of the label at a place on `labels`."""
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
