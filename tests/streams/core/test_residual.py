"""The live residual: each input of a settlement ends exactly once, or it is counted."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Origin, TrafficRecord
from schemas.rules.places import REKEYED_HEADER, REPLAYED_HEADER
from schemas.topics import CURATED, TRAFFIC
from streams.core.residual import residual
from streams.core.stage import Message, Output
from tests.streams.doubles import NAME, PARTITION, START, curated, message


def inputs(count: int) -> list[Message]:
    return [message(TRAFFIC, offset, b"") for offset in range(count)]


def ending(offset: int, topic: str = "traffic") -> Output:
    origin = Origin(topic=topic, partition=PARTITION, offset=offset)
    return Output(CURATED, PARTITION, NAME, curated(offset, origin=origin))


def sent_on(headers: Sequence[tuple[str, bytes]]) -> Output:
    return Output(TRAFFIC, 1, NAME, TrafficRecord(workload=NAME, event_time=START), tuple(headers))


@given(st.permutations(range(6)))
def test_residual__of_one_ending_an_input_is_0(order: list[int]) -> None:
    """In whatever order the endings are written."""
    assert residual(inputs(6), [ending(offset) for offset in order]) == 0


@given(st.lists(st.integers(0, 7), max_size=12))
def test_residual__counts_every_ending_too_few_and_too_many(ends: list[int]) -> None:
    """Missing, doubled and unknown endings add up; none makes another good."""
    expected = sum(abs(1 - ends.count(offset)) for offset in range(6)) + sum(offset >= 6 for offset in ends)

    assert residual(inputs(6), [ending(offset) for offset in ends]) == expected


def test_residual__knows_a_record_that_was_sent_on_by_its_newest_header() -> None:
    """A re-keyed record ends its input, also where it is a replay itself; a replay's own header ends nothing."""
    replayed = (REPLAYED_HEADER, b"0:9")
    rekeyed = (REKEYED_HEADER, f"{PARTITION}:0".encode())

    assert residual(inputs(1), [sent_on([replayed, rekeyed])]) == 0
    assert residual(inputs(1), [sent_on([rekeyed, replayed])]) == 2


def test_residual__tells_topics_apart() -> None:
    """An ending of another topic's record of the same number ends nothing here; an output without origin neither."""
    assert residual(inputs(1), [ending(0, "curated")]) == 2
    assert residual([], [sent_on([])]) == 1
