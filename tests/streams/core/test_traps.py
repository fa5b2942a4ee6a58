"""One test for each way in which an exactly-once worker was seen to lose or double records on a real broker.

Tested elsewhere: a batch whose partition moves, retention before reading, a rebuild before the first message
(test_source.py); one partitioner for all clients (test_partition.py, test_reference_producers.py); a digest that does
not hang on Parquet's bytes (window/test_snapshot.py); the broker's clock on every topic (test_records.py); calls that
fail because the broker is away, for a moment or for longer than a transaction may last (faults/test_broker.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import group_name, librdkafka, producer, topic_name
from schemas.principals import Principal
from schemas.topics import DISCARDED, TRAFFIC
from streams.core import transaction
from streams.core.membership import Membership
from streams.core.state_lock import Instance
from streams.core.transaction import OutputRefused, Transactions, WorkerFailed
from streams.settings import WorkerSettings
from tests.streams.echo import Echo, echoed, echoes, feed, started, until

pytestmark = pytest.mark.broker

TEXTS = [f"text {number:04d}" for number in range(400)]


class Small(Echo):
    """An echo whose batches are small, so that there is always a next one to consume ahead."""

    batch_records = 20


def settled_offsets(settings: Settings) -> dict[int, int]:
    """Return the group's committed offsets by partition."""
    consumer = Consumer(librdkafka(settings) | {"group.id": group_name(settings, "curate")})
    name = topic_name(settings, TRAFFIC)
    try:
        found = consumer.committed([TopicPartition(name, number) for number in range(8)], 20)
    finally:
        consumer.close()
    return {one.partition: max(one.offset, 0) for one in found}


@pytest.mark.faults
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_rebalances__while_batches_are_consumed_ahead__double_and_lose_nothing(
    topics: Settings, protocol: str
) -> None:
    """A batch is settled under the metadata and the epochs it was consumed with, in both protocols of the group."""
    feed(topics, TEXTS)
    stages = [Small() for _ in range(3)]
    async with started(topics, stages[0], "0", group_protocol=protocol):
        await until(lambda: stages[0].committed)
        async with started(topics, stages[1], "1", group_protocol=protocol):
            feed(topics, [f"more {number:04d}" for number in range(200)])
            await until(lambda: stages[1].rebuilt)
            async with started(topics, stages[2], "2", group_protocol=protocol):
                feed(topics, [f"last {number:04d}" for number in range(200)])
                await until(lambda: stages[2].rebuilt)
        await until(lambda: len(echoes(topics)) >= 800)

    assert len(echoes(topics)) == len(set(echoes(topics))) == 800
    assert len([text for stage in stages for text in stage.committed]) == 800


async def test_offset__of_a_batch_in_work_while_the_next_is_there__is_its_own(topics: Settings) -> None:
    """The consumer's position is ahead of what is settled: what is committed is each batch's own last offset + 1."""
    feed(topics, TEXTS)
    stage = Small()
    async with started(topics, stage):
        await until(lambda: len(stage.committed) >= 40)
        stage.hold = asyncio.Event()
        await asyncio.wait_for(stage.held.wait(), 40)
        await until(lambda: sum(settled_offsets(topics).values()) >= len(stage.committed))

        assert sum(settled_offsets(topics).values()) == len(stage.committed) < len(TEXTS)

        stage.hold.set()
        await until(lambda: len(echoes(topics)) >= len(TEXTS))

    assert echoes(topics) == TEXTS


@pytest.fixture
def transactions(topics: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what opens the transactional producer of the curate stage, with a queue that is full at once."""
    monkeypatch.setattr(transaction, "_QUEUE_MESSAGES", 50)
    settings = WorkerSettings(**topics.model_dump() | {"state_dir": tmp_path})
    with ExitStack() as stack:

        def opened() -> Transactions:
            one = Transactions(settings, Principal.CURATE, "same-name")
            stack.callback(one.close)
            one.open()
            return one

        yield opened


def joined(settings: Settings) -> tuple[Membership, Any]:
    """Join the curate group; return the member with the metadata of its first generation with all partitions."""
    members = Membership(WorkerSettings(**settings.model_dump()), Echo())
    members.open()
    while len(members.fresh()) < 8:
        members.take(1)
    return members, members.metadata()


def test_outputs__too_large_for_the_broker_alone__are_refused(topics: Settings, transactions: Any) -> None:
    """What a batch adds to a record counts for the broker: refused for good, not tried again until the worker ends."""
    one = transactions()
    members, metadata = joined(topics)
    large = echoed(2, "large", token_urlsafe(1_125_000))
    outputs = [large._replace(headers=tuple((token_urlsafe(9), b"") for _ in range(41_000)))]
    encoded = one.encode(outputs)
    with pytest.raises(OutputRefused):
        one.settle(encoded, [TopicPartition(topic_name(topics, TRAFFIC), 2, 1)], metadata)
    members.close()


def test_outputs__more_than_the_producers_queue_takes__are_all_written(topics: Settings, transactions: Any) -> None:
    """`produce_batch` drops what its queue has no room for, and says so only in a count and a field."""
    one = transactions()
    members, metadata = joined(topics)
    outputs = [echoed(2, f"text {number:04d}", offset=number) for number in range(700)]
    one.settle(one.encode(outputs), [TopicPartition(topic_name(topics, TRAFFIC), 2, 700)], metadata)
    members.close()

    assert echoes(topics) == [f"text {number:04d}" for number in range(700)]
    assert settled_offsets(topics)[2] == 700


def test_second_process_of_one_name__fences_the_first_and_frees_what_it_left_open(
    topics: Settings, transactions: Any
) -> None:
    """A stable transactional id lets readers go on at once after a kill; the one that was thought dead must end."""
    first = transactions()
    members, metadata = joined(topics)
    offsets = [TopicPartition(topic_name(topics, TRAFFIC), 2, 1)]
    first.settle(first.encode([echoed(2, "before")]), offsets, metadata)
    second = transactions()
    with pytest.raises(WorkerFailed):
        first.settle(first.encode([echoed(2, "zombie")]), offsets, metadata)
    second.settle(second.encode([echoed(2, "after")]), offsets, metadata)
    members.close()

    assert echoes(topics) == ["after", "before"]


def test_instance__of_a_state_folder__keeps_its_name_over_restarts(tmp_path: Path) -> None:
    """The transactional id is made of it."""
    first = Instance(tmp_path)
    first.release()
    second = Instance(tmp_path)
    second.release()

    assert first.name == second.name


def test_settlement_without_offsets__is_refused(topics: Settings, transactions: Any) -> None:
    """An empty list of offsets is not fenced at all: a stalled owner and its successor would both write."""
    one = transactions()
    members, metadata = joined(topics)
    with pytest.raises(AssertionError, match="not fenced"):
        one.settle(one.encode([echoed(2, "unfenced")]), [], metadata)
    members.close()


def test_assignment__while_the_last_owners_transaction_is_open__waits_for_its_end(topics: Settings) -> None:
    """Committed offsets do not answer before it is decided; what it wrote is then below the mark that is read to."""
    members, metadata = joined(topics)
    place = (topic_name(topics, TRAFFIC), 3)
    owner = Producer(producer(topics) | {"transactional.id": f"{topics.topic_prefix}last-owner"})
    owner.init_transactions(20)
    owner.begin_transaction()
    owner.produce(topic_name(topics, DISCARDED), b"x", partition=3)
    owner.send_offsets_to_transaction([TopicPartition(*place, 7)], metadata, 20)

    assert members.committed([place]) is None

    ended = threading.Thread(target=lambda: owner.commit_transaction(20))
    ended.start()
    while (found := members.committed([place])) is None:
        pass
    ended.join()
    members.close()

    assert found == {place: 7}
