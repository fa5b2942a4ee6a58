"""Which recorded answers become labels, and how records go on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import AnsweredBy, CuratedKind
from streams.label.harvest import Path, harvested, path_of
from tests.streams.doubles import curated, workload

WORKLOAD = workload(harvest={"models": ["big-model"]}, aliases={"m&a": "mergers"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"answer": "mergers", "answered_by": AnsweredBy.TEACHER}, "mergers"),
        ({"answer": " M&A. ", "answered_by": AnsweredBy.TEACHER}, "mergers"),
        ({"answer": "mergers", "model": "big-model"}, "mergers"),
        ({"answer": "mergers"}, None),
        ({"answer": "mergers", "model": "another"}, None),
        ({"answer": "mergers", "model": "big-model", "answered_by": AnsweredBy.STUDENT}, None),
        ({"answer": "weather", "answered_by": AnsweredBy.TEACHER}, None),
        ({"answered_by": AnsweredBy.TEACHER}, None),
    ],
)
def test_harvest__by_who_answered(fields: dict[str, object], said: str | None) -> None:
    """The teacher's and a listed model's answers are harvested, unknown and student answers never."""
    assert harvested(WORKLOAD, curated(1, **fields)) == said


@given(
    kind=st.sampled_from(CuratedKind), by=st.sampled_from(AnsweredBy), audit=st.booleans(),
    answer=st.sampled_from([None, "mergers", "weather"]), model=st.sampled_from([None, "big-model", "student"]),
)  # fmt: skip
def test_path__never_learns_from_a_student(
    kind: CuratedKind, by: AnsweredBy, *, audit: bool, answer: str | None, model: str | None
) -> None:
    """A student's answer is never harvested, its unaudited traffic never costs a call; an anchor is no traffic."""
    path = path_of(WORKLOAD, curated(1, kind=kind, answered_by=by, audit=audit, answer=answer, model=model))

    assert (path is Path.ANCHOR) == (kind is CuratedKind.ANCHOR)
    if by is AnsweredBy.STUDENT:
        assert path is not Path.HARVEST
        if not audit and kind is not CuratedKind.ANCHOR:
            assert path in (Path.DROP_VOTE, Path.DROP_STUDENT)
    if kind is CuratedKind.VOTE and path is not Path.HARVEST:
        assert path is (Path.CLUSTER if audit else Path.DROP_VOTE)
