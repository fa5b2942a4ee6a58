"""Stages that settle a part of a batch: nothing is lost, doubled or overtaken, whoever owns the partition."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.edge.process.settings import Settings
from schemas.codec import decode
from schemas.records import CuratedRecord, TrafficRecord
from schemas.topics import CURATED, TRAFFIC
from streams.core.leftover import joined, without
from streams.core.membership import Taken
from streams.core.stage import Message, Settlement
from tests.streams.doubles import message
from tests.streams.echo import Echo, echoed, echoes, feed, letters, read, started, until

TEXTS = [f"text {number:04d}" for number in range(400)]


class Leaving(Echo):
    """An echo that settles a random prefix of each partition, often none; what it left must come first again."""

    batch_records = 40

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._random = Random(seed)
        self._left: list[Message] = []
        self.most = 0
        self.stuck: AbstractSet[int] = frozenset()

    async def process(self, messages: Sequence[Message]) -> Settlement:
        self.most = max(self.most, len(messages))
        whole = await super().process(messages)
        keep = {number: self._random.choice([0, 0, 1, 3, 40]) for number in range(8)}
        settled, left = [], []
        for one in messages:
            if one.partition not in self.stuck and keep[one.partition] > 0:
                settled.append(one)
                keep[one.partition] -= 1
            else:
                left.append(one)
        texts = [decode(TrafficRecord, one.value or b"").text or "" for one in settled]
        outputs = [echoed(m.partition, text, offset=m.offset) for m, text in zip(settled, texts, strict=True)]
        return Settlement(outputs, lambda: self.committed.extend(texts), whole.aborted, left, self.stuck)


def in_order(settings: Settings) -> bool:
    """Return whether each partition's outputs are in the order of its inputs."""
    by: dict[int, list[int]] = {}
    for record in read(settings, CURATED):
        assert isinstance(record, CuratedRecord)
        by.setdefault(record.origin.partition, []).append(record.origin.offset)
    return all(offsets == sorted(set(offsets)) for offsets in by.values())


@pytest.mark.broker
async def test_part_of_a_batch__settled_at_a_time__is_written_once_and_in_order(topics: Settings) -> None:
    """What is left heads the next batch; poison among it is found; the batch never grows beyond its bound twice."""
    feed(topics, TEXTS)
    stage = Leaving()
    stage.poisonous = {TEXTS[17], TEXTS[250]}
    async with started(topics, stage):
        await until(lambda: len(echoes(topics)) + len(letters(topics)) >= len(TEXTS))

    assert echoes(topics) == sorted(set(TEXTS) - stage.poisonous)
    assert len(letters(topics)) == 2
    assert in_order(topics)
    assert stage.most <= 2 * stage.batch_records


@pytest.mark.faults
@pytest.mark.broker
async def test_part_of_a_batch__left_while_partitions_move__is_written_once(topics: Settings) -> None:
    """What was left of a partition that went elsewhere is its next owner's, and comes back with it."""
    feed(topics, TEXTS)
    one, other = Leaving(1), Leaving(2)
    one.stuck = frozenset(range(1, 8))
    async with started(topics, one, "one"):
        await until(lambda: len(one.committed) >= 50)
        async with started(topics, other, "two"):
            await until(lambda: len(other.committed) > 40)
            one.stuck = frozenset()
            feed(topics, [f"more {number:04d}" for number in range(200)])
            await until(lambda: len(one.committed) > 60)
        await until(lambda: len(echoes(topics)) >= 600)

    assert len(echoes(topics)) == len(set(echoes(topics))) == 600
    assert in_order(topics)


@pytest.mark.broker
async def test_held_partition__waits_and_the_others_flow(topics: Settings) -> None:
    """A partition that waits for something outside takes no room from the others, and goes on afterwards."""
    feed(topics, TEXTS)
    stage = Leaving()
    stage.stuck = frozenset({3})
    async with started(topics, stage):
        await until(lambda: len(echoes(topics)) >= 350)
        waited = len(echoes(topics))
        stage.stuck = frozenset()
        await until(lambda: len(echoes(topics)) >= 400)

    assert (waited, echoes(topics)) == (350, TEXTS)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=30), st.sets(st.integers(0, 2)))
def test_joined__keeps_what_is_still_ours_and_drops_what_was_consumed_again(
    batch: list[tuple[int, bool]], moved: set[int]
) -> None:
    """Left messages come first, in order; those of a partition with a newer epoch are gone, those came again."""
    messages = [message(TRAFFIC, at, b"", number) for at, (number, _) in enumerate(batch)]
    left = [one for one, (_, stays) in zip(messages, batch, strict=True) if stays]
    since = [message(TRAFFIC, 100 + number, b"", number) for number in range(3)]
    epochs = {("traffic", number): 1 for number in range(3)}
    newer = {("traffic", number): 2 if number in moved else 1 for number in range(3)}
    found = joined(Taken(left, "old", epochs), Taken(since, "old", newer), "new", lambda m: ("traffic", m.partition))

    assert found.messages == [*(one for one in left if one.partition not in moved), *since]
    assert (found.metadata, found.epochs) == ("new", newer)
    assert without(messages, left) == [one for one, (_, stays) in zip(messages, batch, strict=True) if not stays]
