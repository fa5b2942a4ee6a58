"""The exactly-once core on a real broker: failures, outages, rebalances, ticks and rebuilds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, topic_name
from schemas.codec import decode
from schemas.errors import ContractError, DeadLetterReason, RecordRejected, Unavailable
from schemas.records import TrafficRecord
from schemas.topics import TRAFFIC
from streams.core import breaker
from streams.core.stage import Message, Settlement
from tests.streams.echo import Echo, echoed, echoes, feed, letters, refused, started, until

pytestmark = pytest.mark.broker

PHONE = "+49 30 901820"
TEXTS = [f"text {number:04d}" for number in range(400)]


async def test_batch__with_poison_in_it__loses_nothing_but_the_poison(topics: Settings) -> None:
    """Bisection finds the poison records; each becomes one dead letter, all others are written once."""
    feed(topics, TEXTS)
    stage = Echo()
    stage.poisonous = {TEXTS[17], TEXTS[18], TEXTS[333]}
    async with started(topics, stage):
        await until(lambda: len(echoes(topics)) + len(letters(topics)) >= len(TEXTS))

    assert echoes(topics) == sorted(set(TEXTS) - stage.poisonous)
    assert [(letter.reason, letter.attempts) for letter in letters(topics)] == [("processing_failed", 3)] * 3


class Refusing(Echo):
    """An echo that writes a dead letter for each text that starts with `bad`."""

    async def process(self, messages: Sequence[Message]) -> Settlement:
        texts = [decode(TrafficRecord, message.value or b"").text or "" for message in messages]
        outputs = [
            refused(message, RecordRejected(DeadLetterReason.BAD_FIELD, "refused"))
            if text.startswith("bad")
            else echoed(message.partition, text, offset=message.offset)
            for message, text in zip(messages, texts, strict=True)
        ]
        return Settlement(outputs)


@pytest.mark.faults
async def test_flood_of_dead_letters__pauses_its_partition_alone_and_goes_on_by_itself(
    topics: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The breaker opens on the bad partition, the others flow on, and after a good probe nothing is left behind."""
    monkeypatch.setattr(breaker, "FIRST_SECONDS", 8.0)
    stage = Refusing()
    async with started(topics, stage):
        feed(topics, [f"bad {number}" if number % 8 == 3 else f"good {number:04d}" for number in range(2_400)])
        await until(lambda: len(letters(topics)) >= 300 and len(echoes(topics)) >= 2_100)
        feed(topics, [f"later {number:04d}" for number in range(160)])
        await until(lambda: len(echoes(topics)) >= 2_100 + 140)
        waiting = 2_260 - len(echoes(topics))
        await until(lambda: len(echoes(topics)) >= 2_100 + 160)

    assert waiting == 20
    assert len(letters(topics)) == 300


async def test_batch__while_the_teacher_is_away__waits_and_is_not_dead_lettered(topics: Settings) -> None:
    """An outage is not poison: however long it lasts, the same batch is tried again."""
    feed(topics, TEXTS[:50])
    stage = Echo()
    stage.unavailable = 8  # more than the attempts a failing batch gets
    async with started(topics, stage):
        await until(lambda: len(echoes(topics)) >= 50)

    assert (echoes(topics), letters(topics)) == (TEXTS[:50], [])


CAUSES = [
    "the object store s3://bucket/millrace does not answer: ConnectTimeout",
    "the schema registry http://registry:8081 does not answer: [Errno 111] Connection refused",
    "the disk does not take it: OSError: [Errno 28] No space left on device",
]


class Talkative(Echo):
    """An echo that fails, now with the cause of an outage, now quoting the record."""

    def __init__(self) -> None:
        super().__init__()
        self.causes: list[Exception] = [*map(Unavailable, CAUSES), ValueError(PHONE)]

    async def process(self, messages: Sequence[Message]) -> Settlement:
        if self.causes:
            raise self.causes.pop(0)
        return await super().process(messages)

    async def tick(self, now: datetime) -> dict[int, Settlement]:
        if self.causes:
            raise Unavailable(CAUSES[0])
        return await super().tick(now)


async def test_log__says_the_cause_of_an_outage_and_nothing_of_the_record(
    topics: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads the log knows what to mend; an error of our own code, which may quote the record, is only named."""
    feed(topics, [f"call {PHONE}"])
    async with started(topics, Talkative()):
        await until(lambda: len(echoes(topics)) == 1)

    for cause in CAUSES:
        assert f"curate: {cause}; partitions pause" in caplog.messages
    assert "curate: ValueError in a batch of 1" in caplog.messages
    assert PHONE not in caplog.text


async def test_output__larger_than_its_topic_takes__ends_as_a_dead_letter_alone(topics: Settings) -> None:
    """A refused output must not lose its batch, nor stop the worker."""
    feed(topics, TEXTS[:20])
    stage = Echo()
    stage.huge = {TEXTS[3]}
    async with started(topics, stage):
        await until(lambda: len(echoes(topics)) + len(letters(topics)) >= 20)

    assert echoes(topics) == sorted(set(TEXTS[:20]) - stage.huge)
    assert len(letters(topics)) == 1


@pytest.mark.faults
async def test_batch_in_work__while_its_partition_moves_to_another_worker__is_written_once(topics: Settings) -> None:
    """What changed hands is dropped by its old owner and written by the new one; what stayed is settled."""
    feed(topics, TEXTS)
    slow, other = Echo(), Echo()
    slow.hold = asyncio.Event()
    async with started(topics, slow, "one"):
        await asyncio.wait_for(slow.held.wait(), 40)
        async with started(topics, other, "two"):
            await until(lambda: other.committed)  # it owns partitions of the batch in work
            slow.hold.set()
            await until(lambda: len(echoes(topics)) >= len(TEXTS))
            await until(lambda: len(slow.committed) + len(other.committed) >= len(TEXTS))

    assert echoes(topics) == TEXTS
    assert sorted(slow.committed + other.committed) == TEXTS


async def test_restart__rebuilds_from_our_own_topics_and_goes_on_where_it_was(topics: Settings) -> None:
    """State is a view of committed outputs: the next worker sees all of them, and no input twice."""
    feed(topics, TEXTS[:100])
    first, second = Echo(), Echo()
    async with started(topics, first):
        await until(lambda: len(echoes(topics)) >= 100)
    feed(topics, TEXTS[100:200])
    async with started(topics, second):
        await until(lambda: len(echoes(topics)) >= 200)
        rebuilt = sorted(text for texts in second.rebuilt.values() for text in texts)

    assert rebuilt == TEXTS[:100]
    assert sorted(second.committed) == TEXTS[100:200]
    assert echoes(topics) == TEXTS[:200]


async def test_tick__writes_what_is_due_without_a_message(topics: Settings) -> None:
    """What a tick returns is settled with the partition's offsets, so that a zombie's tick is fenced."""
    stage = Echo()
    async with started(topics, stage) as (source, _):
        await until(lambda: source.ready and len(stage.rebuilt) == 8)
        stage.due = {2: "tick 2", 5: "tick 5"}
        await until(lambda: len(echoes(topics)) >= 2)

    assert echoes(topics) == ["tick 2", "tick 5"]


async def test_source__whose_records_were_deleted_before_it_read_them__stops_and_says_so(topics: Settings) -> None:
    """`earliest` would skip silently what retention took."""
    feed(topics, TEXTS[:80])
    admin = AdminClient(librdkafka(topics))
    name = topic_name(topics, TRAFFIC)
    (deleted,) = admin.delete_records([TopicPartition(name, 3, 5)]).values()
    deleted.result(20)
    async with started(topics, Echo()) as (_, running):
        with pytest.raises(ContractError, match="retention deleted records"):
            await asyncio.wait_for(running, 40)
