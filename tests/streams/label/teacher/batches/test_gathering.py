"""When requests are sent, and how many, with the time given."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from streams.label.teacher.batches.gathering import LONGEST_SECONDS, MOST_BYTES, QUIET_SECONDS, BatchRequest, Gathering


def requests(loop: asyncio.AbstractEventLoop, *sizes: int) -> list[BatchRequest]:
    return [BatchRequest(str(n), b"x" * size, loop.create_future()) for n, size in enumerate(sizes)]


def gathered(loop: asyncio.AbstractEventLoop, records: int, *sizes: int) -> tuple[Gathering, list[BatchRequest]]:
    one, made = Gathering(records), requests(loop, *sizes)
    for request in made:
        one.join(request, 0.0)
    return one, made


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 10), st.integers(0, 30))
def test_take__loses_none_and_keeps_the_order(sizes: list[int], records: int, room: int) -> None:
    """However many fit, batch after batch holds every request once, in order, within count, size and budget."""
    loop = asyncio.new_event_loop()
    one, made = gathered(loop, records, *sizes)
    taken: list[BatchRequest] = []
    while batch := one.take(lambda wanted: min(wanted, room)):
        assert len(batch) <= min(records, room)
        taken += batch
    loop.close()

    assert taken == (made if room else [])
    assert one.all() == ([] if room else made)


def test_take__by_size() -> None:
    """A batch is no larger than a file may be, unless a single request is."""
    loop = asyncio.new_event_loop()
    one, made = gathered(loop, 10, MOST_BYTES - 5, 4, 4, MOST_BYTES + 1, 1)
    loop.close()

    assert [len(one.take(lambda wanted: wanted)) for _ in range(5)] == [2, 1, 1, 1, 0]
    assert len(made) == 5


def test_due__when_quiet_or_full_or_long_enough() -> None:
    """A batch goes when nothing more joins, when it is full, and in any case a minute after its first request."""
    loop = asyncio.new_event_loop()
    one, two = Gathering(2), Gathering(100)
    first, second = requests(loop, 1, 1)
    assert one.due(0.0) is None
    one.join(first, 10.0)
    assert one.due(11.0) == QUIET_SECONDS - 1
    one.join(second, 11.0)
    assert one.due(11.0) == 0.0
    for second_number in range(100):
        two.join(BatchRequest(str(second_number), b"", loop.create_future()), float(second_number))
        due = two.due(float(second_number))
        assert due is not None
        assert second_number + due <= LONGEST_SECONDS or second_number > LONGEST_SECONDS
    loop.close()


def test_leave__takes_only_the_request_itself() -> None:
    """A request that is asked by nobody any more is not sent; another with its id stays."""
    loop = asyncio.new_event_loop()
    one, (first, second) = gathered(loop, 10, 1, 1)
    one.leave(BatchRequest("1", b"", loop.create_future()))
    one.leave(first)
    loop.close()

    assert one.take(lambda wanted: wanted) == [second]


def test_shrink__then_grows_to_what_the_workload_allows() -> None:
    """After a batch that was too large they are half as large, and twice as large after each that was taken."""
    loop = asyncio.new_event_loop()
    one, _ = gathered(loop, 8, *[1] * 40)
    loop.close()
    sizes = []
    one.shrink(8)
    for _ in range(4):
        sizes.append(len(one.take(lambda wanted: wanted)))
        one.grow()

    assert sizes == [4, 8, 8, 8]
