"""Human labels beside the teacher's: which text has which, and the weight of each row. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from schemas.records import GoldLabel, LabelKind, LabelRecord, Provenance
from schemas.rules.normalise import text_key

_TEACHERS: Final = frozenset({Provenance.TEACHER, Provenance.HARVEST})


@dataclass(frozen=True, slots=True)
class Human:
    """What people said of one text."""

    text_key: str
    label: str | None  # None: a tie
    annotators: int
    agreed: bool  # all of them


@dataclass(frozen=True, slots=True)
class Taught:
    """The teacher's label of one text, and the row's weight."""

    text_key: str
    record_id: str
    cluster_id: str
    label: str
    probabilities: Mapping[str, float] | None
    propensity: float
    records: int  # traffic records of its cluster: itself, its votes, and its duplicates as far as they are known

    @property
    def weight(self) -> float:
        """How many traffic records the row represents."""
        return self.records / self.propensity


def humans(found: Iterable[GoldLabel]) -> dict[str, Human]:
    """Return by text what most annotators say of it; an annotator's last label of a text counts."""
    latest = {gold.gold_id: gold for gold in found}
    said: dict[str, list[str]] = {}
    for gold in latest.values():
        said.setdefault(gold.text_key, []).append(gold.label)
    return {key: _human(key, labels) for key, labels in said.items()}


def _human(key: str, labels: Sequence[str]) -> Human:
    ranked = Counter(labels).most_common(2)
    tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
    return Human(key, None if tied else ranked[0][0], len(labels), len(ranked) == 1)


def taught(
    labels: Iterable[LabelRecord], duplicates: Mapping[str, int], texts: Container[str], record_ids: Container[str]
) -> dict[str, Taught]:
    """Return by text the teacher's last label of it; not cluster labels, answers on anchors or erased records.

    Nor corrections: the answer to the teacher's first question is judged.

    Args:
        labels: of one workload, in offset order.
        duplicates: discarded ones by cluster; votes among the labels are added to them.
        texts: keys of the texts that are of interest; others are skipped, for there may be millions.
        record_ids: of further records of interest.
    """
    found: dict[str, Taught] = {}
    keys: dict[str, str] = {}
    votes = Counter[str]()
    for record in labels:
        if record.kind is LabelKind.ERASURE:
            key = keys.pop(record.record_id, "")
            if key in found and found[key].record_id == record.record_id:
                del found[key]
        elif record.kind is LabelKind.VOTE:
            votes[record.cluster_id] += 1
        elif record.kind is LabelKind.LABEL and record.provenance in _TEACHERS:
            key = text_key(record.workload, record.text)
            if key in texts or record.record_id in record_ids:
                keys[record.record_id] = key
                found[key] = _taught(key, record)
    return {
        key: replace(row, records=1 + duplicates.get(row.cluster_id, 0) + votes[row.cluster_id])
        for key, row in found.items()
    }


def _taught(key: str, record: LabelRecord) -> Taught:
    return Taught(
        key, record.record_id, record.cluster_id, record.label, record.class_probabilities, record.propensity, 1
    )
