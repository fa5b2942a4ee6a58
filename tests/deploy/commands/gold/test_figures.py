"""From human and teacher labels to the figures of a report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.commands.gold.figures import LEAST_ROWS, Report, report
from deploy.commands.gold.joined import Human, Taught, humans, taught
from schemas.records import DiscardedRecord, DiscardReason, GoldLabel, LabelKind, LabelRecord, Origin, Provenance
from schemas.rules.multiplicity import duplicates_of
from schemas.rules.normalise import text_key

LABELS = ["earnings", "mergers"]
TIME = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = Origin(topic="curated", partition=0, offset=0)


def said(number: int, label: str, annotator: str = "ann") -> GoldLabel:
    text = f"Company {number}"
    return GoldLabel(
        gold_id=f"{number}/{annotator}", workload="news", text=text, text_key=text_key("news", text), label=label,
        annotator=annotator, time=TIME,
    )  # fmt: skip


def label(number: int, said: str = "mergers", **fields: Any) -> LabelRecord:
    values: dict[str, Any] = {"provenance": Provenance.TEACHER, "cluster_id": f"record-{number}"} | fields
    return LabelRecord(
        record_id=f"record-{number}", workload="news", origin=ORIGIN, event_time=TIME, text=f"Company {number}",
        label=said, **values,
    )  # fmt: skip


def discarded(cluster: str, reason: DiscardReason, of: str | None = "record-1") -> DiscardedRecord:
    return DiscardedRecord(
        record_id="x", workload="news", origin=ORIGIN, event_time=TIME, reason=reason, duplicate_of=of,
        cluster_id=cluster,
    )  # fmt: skip


def key(number: int) -> str:
    return text_key("news", f"Company {number}")


class Everything:
    def __contains__(self, _: object) -> bool:
        return True


def rows(*labels: LabelRecord, duplicates: dict[str, int] | None = None) -> dict[str, Taught]:
    return taught(labels, duplicates or {}, Everything(), set())


def figures(found: Report) -> dict[str, Any]:
    return {f"{one.name}, {one.note}" if one.note else one.name: one for one in found.figures}


def test_human__is_what_most_annotators_say():
    """The majority counts, an annotator's later label replaces the earlier, and a tie says nothing."""
    found = humans([said(1, "earnings"), said(1, "mergers"), said(1, "mergers", "bo"), said(2, "mergers"),
                    said(2, "earnings", "bo")])  # fmt: skip

    assert found == {key(1): Human(key(1), "mergers", 2, agreed=True), key(2): Human(key(2), None, 2, agreed=False)}


def test_teacher__is_its_own_label_alone():
    """Labels of the teacher, asked or harvested, are judged; none else.

    Those of clusters, erased ones, second answers and answers on anchors are not.
    """
    found = rows(
        label(1), label(2, provenance=Provenance.HARVEST), label(3, provenance=Provenance.CLUSTER),
        label(4), label(4, "", kind=LabelKind.ERASURE), label(1, "other", kind=LabelKind.CORRECTION),
        label(5, kind=LabelKind.ANCHOR),
    )  # fmt: skip

    assert {name: one.label for name, one in found.items()} == {key(1): "mergers", key(2): "mergers"}


def test_erasure__takes_no_other_record_with_it():
    """Where two records have one text, the erasure of the earlier leaves the later one's label."""
    again = replace(label(1), record_id="later")

    assert rows(label(1), again, label(1, "", kind=LabelKind.ERASURE))[key(1)].record_id == "later"


def test_weight__is_what_the_row_stands_for():
    """A row counts its votes and discarded duplicates, over its propensity; a retry under its own id is no request."""
    duplicates = duplicates_of([
        discarded("record-1", DiscardReason.NEAR_DUPLICATE), discarded("record-1", DiscardReason.DUPLICATE_TEXT),
        discarded("record-1", DiscardReason.DUPLICATE_ID), discarded("record-1", DiscardReason.NOT_SELECTED, None),
    ])  # fmt: skip
    found = rows(label(1, propensity=0.5), label(9, kind=LabelKind.VOTE, cluster_id="record-1"), duplicates=duplicates)

    assert found[key(1)].weight == (1 + 2 + 1) / 0.5


def test_labels__of_no_interest_are_passed_over():
    """Of millions of labels those stay that people or a run's test rows speak of."""
    found = taught([label(number) for number in range(5)], {}, {key(1)}, {"record-3"})

    assert set(found) == {key(1), key(3)}


def test_report__tells_agreement_and_accuracy_apart():
    """A student that copies a teacher who errs agrees wholly and is right as often as the teacher."""
    gold = humans(said(number, "earnings" if number % 4 == 0 else "mergers") for number in range(400))
    teacher = rows(*(label(number) for number in range(1_000)))
    student = {f"record-{number}": "mergers" for number in range(1_000)}
    found = figures(report("news", LABELS, gold, teacher, student))

    assert found["student's agreement"].interval.value == 1.0
    assert found["student's agreement"].n == 1_000
    assert found["student's accuracy, gold rows alone"].interval.value == pytest.approx(0.75)
    assert found["student's accuracy, prediction-powered by 600 more rows"].n == 400
    assert found["teacher's accuracy, on anchors"].interval.value == pytest.approx(0.75, abs=0.06)


def test_report__counts_what_it_leaves_out():
    """Ties and texts that the teacher never labelled are left out, and said so."""
    gold = humans([said(1, "mergers"), said(2, "mergers"), said(2, "earnings", "bo"), said(3, "mergers")])
    found = report("news", LABELS, gold, rows(label(1, "earnings")))

    assert (found.gold, found.tied, found.unmatched) == (3, 1, 1)
    assert found.confusions == [("mergers", "earnings", 1)]


def test_report__calibrates_on_others_than_anchors():
    """The temperature comes from gold that is no anchor, its error from anchors; too few rows show nothing."""
    sure = {"earnings": 0.05, "mergers": 0.95}
    gold = humans(said(number, "earnings" if number % 3 == 0 else "mergers") for number in range(300))
    teacher = rows(*(label(number, class_probabilities=sure) for number in range(300)))
    found = report("news", LABELS, gold, teacher).calibration

    assert found is not None
    assert found.fitted + found.n == 300
    assert found.temperature > 2
    assert found.after < found.before
    few = dict(list(teacher.items())[:LEAST_ROWS])
    assert report("news", LABELS, gold, few).calibration is None
