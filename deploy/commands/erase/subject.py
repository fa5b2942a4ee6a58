"""Whose records are erased, and which those are. Pure.

A subject is what the application calls a person: the client of a record, the record id that the application sent, or
the record id that Millrace shows. Clients are matched as they are stored, that is after redaction: one that was
replaced by a token is found by its token; one that was replaced by a bare placeholder cannot be found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas import ids
from schemas.records import LabelKind, LabelRecord, Origin
from schemas.rules.normalise import text_key
from schemas.topics import LABELS

_OWN: Final = (LabelKind.LABEL, LabelKind.VOTE)  # a correction goes with the label it corrects


@dataclass(frozen=True, slots=True)
class Subject:
    """What identifies a person's records in one workload."""

    workload: str
    client: str | None  # None: redaction leaves nothing to identify this client by
    record_ids: frozenset[str]

    def owns(self, record_id: str, client: str) -> bool:
        """Return whether a record is the subject's."""
        return record_id in self.record_ids or (self.client is not None and client == self.client)


@dataclass(frozen=True, slots=True)
class PlacedLabel:
    """A record of `labels` and its place."""

    partition: int
    offset: int
    record: LabelRecord


@dataclass(frozen=True)
class Matched:
    """What `labels` holds of a subject in one workload."""

    kept: list[PlacedLabel]  # not erased: the last of each record
    erased: frozenset[str]  # record ids that were erased before
    text_keys: frozenset[str]  # of all their texts, whether erased before or not

    @property
    def record_ids(self) -> frozenset[str]:
        """All of the subject's record ids."""
        return self.erased | {placed.record.record_id for placed in self.kept}


def subject_of(workload: str, given: str, stored: str, *, tokens: bool) -> Subject:
    """Return what identifies a person's records, from the application's name of the person and its redacted form.

    `tokens`: whether redaction leaves tokens, which identify a person, rather than placeholders.
    """
    client = stored if stored == given or tokens else None
    return Subject(workload, client, frozenset({given, ids.record_id(workload, given, 0, 0)}))


def matched(subject: Subject, labels: Iterable[PlacedLabel]) -> Matched:
    """Return what `labels` (of one partition, in offset order) holds of a subject."""
    kept: dict[str, PlacedLabel] = {}
    erased: set[str] = set()
    text_keys: set[str] = set()
    for placed in labels:
        record = placed.record
        if record.workload != subject.workload:
            continue
        if record.kind is LabelKind.ERASURE:
            if kept.pop(record.record_id, None) is not None:
                erased.add(record.record_id)
        elif record.kind in _OWN and subject.owns(record.record_id, record.client):
            kept[record.record_id] = placed
            erased.discard(record.record_id)
            text_keys.add(text_key(record.workload, record.text))
    return Matched(list(kept.values()), frozenset(erased), frozenset(text_keys))


def erasure(placed: PlacedLabel) -> LabelRecord:
    """Return the record that erases one: its origin is the label it erases, and it repeats nothing of its text."""
    record = placed.record
    return LabelRecord(
        record_id=record.record_id,
        workload=record.workload,
        origin=Origin(topic=LABELS.name, partition=placed.partition, offset=placed.offset),
        event_time=record.event_time,
        text="",
        cluster_id=record.cluster_id,
        label="",
        kind=LabelKind.ERASURE,
        split=record.split,
    )
