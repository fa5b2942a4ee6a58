"""Second answers about labels, on paper: what is asked about, and what is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.edge.topics.reading import Placed
from schemas.errors import DeadLetterReason
from schemas.records import DeadLetter, LabelKind, LabelRecord, Origin, Provenance, Record, Split
from schemas.rules.spend import Spend, cost_of
from streams.second_answers.corrections import LabelHistory, Why, Wording, histories, sifted, written
from tests.streams.doubles import NAME, PARTITION, START, label

AGAIN = Wording("again", "teacher-7b")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def taught(number: int, said: str = "mergers", **fields: Any) -> LabelRecord:
    return label(number, said, **({"split": Split.TRAIN, "provenance": Provenance.TEACHER} | fields))


def answer(said: str, **fields: Any) -> LabelRecord:
    """Return what the label stage makes of a second question."""
    cost: dict[str, Any] = {
        "teacher_calls": 2,
        "calls": {"first": 1, "retry": 1},
        "prompt_tokens": 40,
        "completion_tokens": 1,
    }
    return taught(
        77, said, text="Company 1 reports", teacher_model="teacher-7b", prompt_sha256="again", **cost | fields
    )


def corrected(number: int, said: str, corrects: int, prompt: str = "again", model: str = "teacher-7b") -> LabelRecord:
    origin = Origin(topic="labels", partition=PARTITION, offset=corrects)
    return taught(
        number, said, kind=LabelKind.CORRECTION, origin=origin, text="", prompt_sha256=prompt, teacher_model=model
    )


def refused(number: int, corrects: int, wording: Wording = AGAIN) -> DeadLetter:
    return DeadLetter(
        reason=DeadLetterReason.UNKNOWN_LABEL, detail="", stage="label", time=START, workload=NAME, payload=b"",
        origin=Origin(topic="labels", partition=PARTITION, offset=corrects), payload_bytes=0, payload_sha256="",
        record_id=f"record-{number}", headers=wording.headers(),
    )  # fmt: skip


def found(*records: LabelRecord, letters: Sequence[DeadLetter] = ()) -> dict[str, LabelHistory]:
    placed: list[Placed[Record]] = [Placed(at, NOW, letter) for at, letter in enumerate(letters)]
    placed += [Placed(at, NOW, record) for at, record in enumerate(records)]
    return histories(placed, {record.record_id for record in records})


def why(*records: LabelRecord, suspected: str = "mergers") -> Why | None:
    """Return why the label of record-1 is not asked about; None: it is."""
    row = {"record_id": "record-1", "teacher": suspected}
    asked, passed = sifted([row], found(*records), AGAIN)
    assert len(asked) + passed.total() == 1
    return None if asked else next(iter(passed))


@pytest.mark.parametrize(
    ("records", "passed"),
    [
        ([taught(1)], None),
        ([taught(1, kind=LabelKind.VOTE)], None),
        ([taught(2)], Why.GONE),
        ([taught(1), taught(1, "", kind=LabelKind.ERASURE)], Why.GONE),
        ([taught(1), taught(1, "", kind=LabelKind.ERASURE), taught(1)], None),
        ([taught(1, split=Split.TEST)], Why.NOT_TRAINING),
        ([taught(1, "other")], Why.CHANGED),
        ([taught(1, "other"), taught(1)], None),
        ([taught(1), corrected(1, "mergers", 0)], Why.ASKED),
        ([taught(1), corrected(1, "other", 0)], Why.ASKED),
        ([taught(1), corrected(1, "mergers", 0, prompt="older words")], None),
        ([taught(1), corrected(1, "mergers", 0, model="teacher-6b")], None),
        ([taught(1), corrected(1, "other", 0, prompt="older words")], Why.CHANGED),
        ([taught(1, "other"), corrected(1, "mergers", 0, prompt="older words")], None),
        ([taught(1), corrected(1, "other", 0), taught(1)], None),
        ([taught(1), taught(1), corrected(1, "other", 0)], None),
    ],
)
def test_suspect__is_asked_about_where_its_label_stands_and_was_not_asked_so(records, passed):
    """What the window would not correct is not asked, nor what another answer settled, nor the same question twice."""
    assert why(*records) == passed


def test_suspect__whose_question_was_refused_is_not_billed_again():
    """The same question of the same label, of the same teacher, is asked once, also where no label came of it."""
    row = [{"record_id": "record-1", "teacher": "mergers"}]
    letters = [refused(1, 1), refused(2, 0), refused(1, 0, Wording("other words", "teacher-7b"))]
    asked, _ = sifted(row, found(taught(1), letters=letters), AGAIN)
    _, passed = sifted(row, found(taught(1), letters=[*letters, refused(1, 0)]), AGAIN)

    assert len(asked) == 1
    assert passed == {Why.ASKED: 1}


def test_suspects__are_asked_in_the_order_of_the_list():
    """The least probable label comes first, however the labels came."""
    rows = [{"record_id": f"record-{number}", "teacher": "mergers"} for number in (3, 1, 2)]
    asked, _ = sifted(rows, found(*(taught(number) for number in (1, 2, 3))), AGAIN)

    assert [one.record.record_id for one in asked] == ["record-3", "record-1", "record-2"]


def test_correction__names_its_label_and_repeats_no_text():
    """What is written to `labels` is the record, its place, the answer and its cost: no text, client or source."""
    one = LabelHistory(9, taught(1, client="ann", source="desk", cluster_id="c", propensity=0.5))
    soft = {"mergers": 0.2, "other": 0.8}
    said = written(one, PARTITION, AGAIN, answer("other", class_probabilities=soft))

    assert isinstance(said, LabelRecord)
    assert (said.record_id, said.workload, said.cluster_id, said.split) == ("record-1", NAME, "c", Split.TRAIN)
    assert said.origin == Origin(topic="labels", partition=PARTITION, offset=9)
    assert (said.kind, said.label, said.class_probabilities) == (LabelKind.CORRECTION, "other", soft)
    assert (said.teacher_model, said.prompt_sha256, said.event_time) == ("teacher-7b", "again", one.record.event_time)
    assert (said.text, said.client, said.source) == ("", "", "")
    assert cost_of(said) == Spend(2, 40, 1)


def test_refused_question__is_paid_and_ends_no_record():
    """Its calls are on a dead letter of the label stage, which names the label and holds nothing of the text."""
    letter = DeadLetter(
        reason=DeadLetterReason.UNKNOWN_LABEL, detail="outside the set", stage="label", time=START, workload=NAME,
        origin=Origin(topic="curated", partition=PARTITION, offset=0), payload=b"the text", payload_bytes=8,
        payload_sha256="ab", record_id="digest", attempts=2,
    )  # fmt: skip
    one = LabelHistory(9, taught(1))
    kept = written(one, PARTITION, AGAIN, letter)

    assert isinstance(kept, DeadLetter)
    assert kept.origin == Origin(topic="labels", partition=PARTITION, offset=9)
    assert (kept.record_id, kept.payload, kept.payload_bytes) == ("record-1", b"", 0)
    assert cost_of(kept) == Spend(calls=2)
    assert _read_back(kept).refused == [AGAIN.headers()]
    assert written(one, PARTITION, AGAIN, replace(letter, reason=DeadLetterReason.PROCESSING_FAILED)) is None
    assert written(one, PARTITION, AGAIN, None) is None


def _read_back(letter: DeadLetter) -> LabelHistory:
    read: list[Placed[Record]] = [Placed(0, NOW, letter), Placed(9, NOW, taught(1))]
    return histories(read, {"record-1"})["record-1"]
