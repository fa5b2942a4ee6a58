"""Whose records are erased, on paper."""

from __future__ import annotations

from typing import Any

from deploy.commands.erase.subject import Matched, PlacedLabel, erasure, matched, subject_of
from schemas import ids
from schemas.records import LabelKind, LabelRecord, Origin
from tests.streams.doubles import NAME, label


def found(given: str, *records: LabelRecord, stored: str | None = None, tokens: bool = False) -> Matched:
    subject = subject_of(NAME, given, given if stored is None else stored, tokens=tokens)
    return matched(subject, (PlacedLabel(1, 3 * at, record) for at, record in enumerate(records)))


def kept(of: Matched) -> list[tuple[str, int]]:
    return [(placed.record.record_id, placed.offset) for placed in of.kept]


def erased(number: int) -> LabelRecord:
    return label(number, "", text="", kind=LabelKind.ERASURE)


def test_subject__is_a_client_or_a_record():
    """A client's records are matched, votes too; one record by our id or by the id that the application sent."""
    own: list[LabelRecord] = [
        label(1, "other", client="ann"), label(2, "other", client="bo"),
        label(3, "other", client="ann", kind=LabelKind.VOTE),
        label(4, "other", record_id=ids.record_id(NAME, "order-7", 5, 6)),
        label(5, "other", client="ann", workload="olds"),
    ]  # fmt: skip

    assert kept(found("ann", *own)) == [("record-1", 0), ("record-3", 6)]
    assert kept(found("record-2", *own)) == [("record-2", 3)]
    assert kept(found("order-7", *own)) == [(own[3].record_id, 9)]
    assert kept(found("ANN", *own)) == []


def test_subject__whose_name_is_personal_data():
    """A client that redaction replaced is matched by its token, and by a placeholder, which all share, never."""
    own: Any = [label(1, "other", client="<EMAIL:a1>"), label(2, "other", client="<EMAIL>")]

    assert kept(found("ann@example.com", *own, stored="<EMAIL:a1>", tokens=True)) == [("record-1", 0)]
    assert kept(found("ann@example.com", *own, stored="<EMAIL>")) == []


def test_erased__stands_no_more_until_it_is_labelled_again():
    """What was erased is counted separately, not erased twice; a label that came later is erased at its own place."""
    one, two = label(1, "other", client="ann"), label(2, "other", client="ann")
    first = found("ann", one, two, erased(1))
    again = found("ann", one, two, erased(1), erased(2), one)

    assert (kept(first), kept(again)) == ([("record-2", 3)], [("record-1", 12)])
    assert (set(first.erased), set(again.erased)) == ({"record-1"}, {"record-2"})
    assert set(first.record_ids) == {"record-1", "record-2"}
    assert len(first.text_keys) == 2


def test_corrections__go_with_their_label():
    """A second answer is no record of its own: it is matched by nothing, and is erased with the label it corrects."""
    given = label(1, "other", client="ann")
    second = label(1, "mergers", text="", kind=LabelKind.CORRECTION)

    assert kept(found("ann", given, second)) == kept(found("record-1", given, second)) == [("record-1", 0)]
    assert kept(found("record-1", given, second, erased(1), second)) == []
    assert found("record-1", given, second).text_keys == found("record-1", given).text_keys


def test_erasure__repeats_nothing():
    """An erasure names the record and the place of its label, not its text, label, client or source."""
    record = erasure(PlacedLabel(1, 9, label(1, "other", client="ann", source="desk")))

    assert (record.record_id, record.origin, record.kind) == (
        "record-1", Origin(topic="labels", partition=1, offset=9), LabelKind.ERASURE,
    )  # fmt: skip
    assert (record.text, record.label, record.client, record.source) == ("", "", "", "")
