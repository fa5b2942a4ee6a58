"""Where a record stood before, out of its headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.places import (
    REKEYED_HEADER,
    REPLAYED_HEADER,
    PartitionOffset,
    first_place,
    passages,
    place_header,
    place_in,
    replayed_from,
)

PLACES = st.tuples(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
PASSAGES = st.lists(st.tuples(st.sampled_from([REKEYED_HEADER, REPLAYED_HEADER]), PLACES), max_size=5)
OTHERS = st.lists(
    st.tuples(st.sampled_from(["workload", "traceparent"]), st.none() | st.binary(max_size=8)), max_size=3
)


@given(PLACES)
def test_place__comes_back_from_its_header(place: PartitionOffset) -> None:
    """What one process writes, the others read."""
    assert place_in(place_header(*place)) == place


@pytest.mark.parametrize(
    "value", [None, b"", b"3", b"3:", b":3", b"-1:3", b"3:4:5", b" 3:4", "٣:٤".encode(), b"9" * 40 + b":1"]
)
def test_place__of_anything_else_is_none(value: bytes | None) -> None:
    """An application's own bytes under our name are no place, and no error."""
    assert place_in(value) is None


@given(PASSAGES, OTHERS, PLACES)
def test_first_place__is_where_the_oldest_header_says(
    passed: list[tuple[str, PartitionOffset]], others, here: PartitionOffset
) -> None:
    """However often a record was sent on or replayed, its first place stays; others' headers say nothing."""
    headers = [*others, *((name, place_header(*place)) for name, place in passed)]

    assert first_place(headers, *here) == (passed[0][1] if passed else here)
    assert passages(headers) == passed


def test_replayed_from__is_told_by_the_newest_header() -> None:
    """A replay that was then sent on to another partition is the re-keyed record, not the replay."""
    replay, rekeyed = (REPLAYED_HEADER, b"1:2"), (REKEYED_HEADER, b"1:5")

    assert replayed_from([rekeyed, replay]) == (1, 2)
    assert replayed_from([replay, rekeyed]) is None
    assert replayed_from([]) is None
