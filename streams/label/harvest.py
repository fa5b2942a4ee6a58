"""Which recorded answers become labels at no cost, and what becomes of a curated record. Pure."""

from __future__ import annotations

from enum import Enum

from schemas.records import AnsweredBy, CuratedKind, CuratedRecord
from schemas.rules.chat import label_in
from schemas.workload import Workload


class Path(Enum):
    """How a curated record goes on."""

    HARVEST = "its recorded answer is the label"
    CLUSTER = "its cluster's label, else the teacher"
    TEACHER = "the teacher is asked"
    ANCHOR = "the teacher is asked again, as it was before"
    DROP_VOTE = "a duplicate whose answer nobody may learn from"
    DROP_STUDENT = "a student answered it and no audit chose it"


def learnable(workload: Workload, record: CuratedRecord) -> str | None:
    """Return the recorded answer if it may be learnt from.

    The teacher's own answer counts, and that of a model the workload lists; a student's never, whatever its name.
    """
    if record.answer is None or record.answered_by is AnsweredBy.STUDENT:
        return None
    listed = record.model is not None and record.model in workload.harvest.models
    return record.answer if listed or record.answered_by is AnsweredBy.TEACHER else None


def harvested(workload: Workload, record: CuratedRecord) -> str | None:
    """Return the label of a recorded answer that may be learnt from, by the workload's answer form and aliases."""
    answer = learnable(workload, record)
    return None if answer is None else label_in(workload, answer)


def path_of(workload: Workload, record: CuratedRecord) -> Path:
    """Return how the record goes on."""
    if record.kind is CuratedKind.ANCHOR:
        return Path.ANCHOR
    if harvested(workload, record) is not None:
        return Path.HARVEST
    if record.kind is CuratedKind.VOTE:
        return Path.CLUSTER if record.audit else Path.DROP_VOTE
    if record.answered_by is AnsweredBy.STUDENT and not record.audit:
        return Path.DROP_STUDENT
    return Path.TEACHER
