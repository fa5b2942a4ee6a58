"""What a batch's files say, and which records are backfill."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import CuratedKind
from streams.label.teacher.batches import form
from tests.streams.doubles import curated, workload

NEWS = workload(teacher={"batch": {"after_hours": 24.0}})


@pytest.mark.parametrize(
    ("hours", "of", "fields", "backfill"),
    [
        (24.0, NEWS, {}, True),
        (23.9, NEWS, {}, False),
        (-5.0, NEWS, {}, False),
        (9_000.0, workload(), {}, False),
        (48.0, NEWS, {"kind": CuratedKind.VOTE}, False),
        (48.0, NEWS, {"kind": CuratedKind.ANCHOR}, False),
    ],
)
def test_backfill__is_what_was_old_when_it_arrived(hours: float, of: Any, fields: Any, *, backfill: bool) -> None:
    """A record goes in a batch by its age at its arrival, so that every replay decides alike; never without the key."""
    record = curated(1)
    arrived = curated(1, arrival_time=record.event_time + timedelta(hours=hours), **fields)

    assert form.is_backfill(of, arrived) is backfill


def test_custom_id__is_of_the_question_alone() -> None:
    """The same question has one id for ever; another record, purpose, number, repeat, prompt or teacher another."""
    question = form.question(NEWS)
    base = ("record-1", "first", 0, 0)
    others = [("record-2", "first", 0, 0), ("record-1", "vote", 0, 0), ("record-1", "first", 1, 0),
              ("record-1", "first", 0, 1)]  # fmt: skip
    asked = {form.custom_id(question, *one) for one in [base, *others]}
    elsewhere = {
        form.custom_id(form.question(other), *base)
        for other in (workload(("earnings", "mergers")), workload(teacher={"model": "another"}))
    }

    assert form.custom_id(question, *base) == form.custom_id(form.question(NEWS), *base)
    assert len(asked | elsewhere) == 7
    assert all(len(one) <= 64 for one in asked)


@given(st.dictionaries(st.text(), st.text()))
def test_request_line__is_one_line_that_says_its_id(body: dict[str, str]) -> None:
    """Whatever the body holds, a request is one line of JSON."""
    file = form.request_line("a", body) + form.request_line("b", {})

    assert file.count(b"\n") == 2
    assert form.custom_ids(file) == ["a", "b"]
    assert json.loads(file.splitlines()[0])["body"] == body


@given(st.binary())
def test_answers__of_anything(junk: bytes) -> None:
    """Bytes that are no lines of a batch are no answers, and break nothing."""
    good = b'{"custom_id": "a", "response": {"status_code": 200, "body": {"x": NaN}}}'
    found = form.answers(junk + b"\n" + good)

    assert found["a"].status == 200
    assert found["a"].body().keys() == {"x"}


@pytest.mark.parametrize(
    "response", [None, [], {}, {"status_code": "200"}, {"status_code": None, "body": {}}, {"status_code": 0}]
)
def test_line__without_an_answer(response: Any) -> None:
    """A line without a status says nothing."""
    line = form.answers(json.dumps({"custom_id": "a", "response": response}).encode())["a"]

    assert (line.status, line.body()) == (0, {})


@pytest.mark.parametrize("body", [None, [], {}, {"id": 1, "status": "completed"}, {"id": "b"}])
def test_told__what_is_no_batch(body: Any) -> None:
    """Anything without id and status is none."""
    assert form.batch_status(body) is None


@pytest.mark.parametrize(
    ("status", "ended"),
    [("validating", False), ("in_progress", False), ("finalizing", False), ("cancelling", False), ("soon", False),
     ("completed", True), ("expired", True), ("cancelled", True), ("failed", True)],
)  # fmt: skip
def test_told__when_it_has_ended(status: str, *, ended: bool) -> None:
    """A status that is not known is waited on."""
    found = form.batch_status(
        {"id": "b", "status": status, "created_at": "123", "metadata": None, "errors": {"data": [None]}}
    )

    assert found is not None
    assert (found.ended, found.created, found.errors, found.answer_files) == (ended, 123.0, (), ())


def test_told__whose_it_is() -> None:
    """More metadata than ours does not matter; a batch that failed has nothing for anybody."""
    owner = form.owner(NEWS)
    found = [
        form.batch_status({"id": "b", "status": status, "metadata": metadata})
        for status, metadata in (
            ("completed", owner | {"team": "x"}), ("failed", owner), ("completed", owner | {"workload": "y"}),
        )
    ]  # fmt: skip

    assert [one.is_of(owner) for one in found if one] == [True, False, False]
    assert all(len(value) <= 64 for value in owner.values())
