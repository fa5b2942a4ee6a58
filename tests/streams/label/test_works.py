"""What of the records in work can be settled, and how long to wait for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from schemas import topics
from schemas.records import Provenance
from streams.core import source
from streams.label.endings import LabelDecision
from streams.label.harvest import Path
from streams.label.triage import Item
from streams.label.works import (
    BATCH_SECONDS,
    FULL_SECONDS,
    LINGER_SECONDS,
    MORE_SECONDS,
    Work,
    WorkEnding,
    full_of_batches,
    parted,
    patience,
)
from tests.streams.doubles import NAME, curated, message, workload

NEWS = workload(teacher={"batch": {"after_hours": 1.0, "records": 3}})


def work(number: int, partition: int = 0, *, batched: bool = False, task: Any = None) -> Work:
    item = Item(
        message(topics.CURATED, number, curated(number), partition), curated(number), NEWS, Path.TEACHER, batched
    )
    return Work(item.message, item, task or asyncio.get_running_loop().create_task(_never()))


async def _never() -> WorkEnding:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("live", "batched", "paused", "seconds"),
    [
        (0, 2, set(), BATCH_SECONDS),
        (1, 2, set(), MORE_SECONDS),
        (4, 2, set(), FULL_SECONDS),
        (4, 0, set(), FULL_SECONDS),
        (3, 9, set(), MORE_SECONDS),
        (4, 0, {NAME}, MORE_SECONDS),
    ],
)
async def test_patience__by_what_is_waited_for(live: int, batched: int, paused: set[str], seconds: float) -> None:
    """Calls are looked at often while there is room for more, seldom without; batches are no calls."""
    works = [work(n) for n in range(live)] + [work(n, batched=True) for n in range(batched)]

    assert patience(works, paused, window=4) == seconds


def test_patience__with_batches_is_shorter_than_the_sources() -> None:
    """The source pauses its partitions under a batch in work for longer, and drops what it fetched of them.

    So it was that of six workloads only those whose records came first were ever asked about.
    """
    assert LINGER_SECONDS + BATCH_SECONDS <= 0.7 * source._QUIET_SECONDS


async def test_full__is_a_partition_with_as_many_records_as_a_batch_holds() -> None:
    """Fresh records behind the batched ones count too; a partition without any batched one is never full of them."""
    works = [
        *(work(n, 1, batched=n < 2) for n in range(3)), *(work(n, 2, batched=True) for n in range(2)),
        *(work(n, 3) for n in range(9)),
    ]  # fmt: skip

    assert full_of_batches(works) == {1}


async def test_parted__at_the_first_that_is_not_finished() -> None:
    """What follows an unfinished record of its partition is left; other partitions are settled."""
    done = LabelDecision("other", Provenance.HARVEST)
    works = [Work(message(topics.CURATED, n, b"", place), None, done) for n, place in ((0, 0), (1, 1))]
    works[1:1] = [work(2, 0)]
    works.append(Work(message(topics.CURATED, 3, b"", 0), None, done))
    settled, left = parted(works)

    assert [one.message.offset for one in settled] == [0, 1]
    assert [one.message.offset for one in left] == [2, 3]
