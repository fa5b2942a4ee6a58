"""The dispatcher's topics: what they already say, and the transactions that add to them. No job is touched here.

One producer with one stable transactional id: a second dispatcher fences the first, so two never write at once. Input
offsets are committed inside the same transactions; partitions are assigned by hand, for fencing already makes it alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import TopicNames, aiokafka, group_name
from deploy.edge.topics.framing import Framing, NotYetKnown
from schemas import topics
from schemas.errors import RecordRejected
from schemas.events import RunState, TrainingRun
from schemas.principals import Principal, TopicAccess
from schemas.promotion import ModelPromotion
from schemas.records import Ceiling, Record
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, Topic
from trainers.promotion import headers_of

ENDED: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
_POLL_MS: Final = 200
_NOT_YET_SECONDS: Final = 0.5

R = TypeVar("R", bound=Record)


@dataclass
class KnownRuns:
    """What the topics say about earlier runs."""

    runs: dict[str, TrainingRun] = field(default_factory=dict)  # run id -> its last state
    sequences: dict[str, int] = field(default_factory=dict)  # model line -> events so far
    events: set[str] = field(default_factory=set)


class RunTopics:
    """Reads requests, writes runs and events."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._framing = settings, Framing(settings)
        self._group = group_name(settings, Principal.DISPATCHER)
        self._names = {access: TopicNames(settings, Principal.DISPATCHER, access) for access in TopicAccess}
        self._requests = self._names[TopicAccess.CONSUME][topics.RETRAIN_REQUESTS]
        self._consumer = AIOKafkaConsumer(
            **aiokafka(settings), group_id=self._group, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", client_id=self._group,
        )  # fmt: skip
        self._producer = AIOKafkaProducer(
            **aiokafka(settings), transactional_id=self._group, client_id=self._group, compression_type="lz4",
            max_request_size=4_000_000,
        )  # fmt: skip

    async def start(self) -> KnownRuns:
        """Fence any other dispatcher, read what the topics say, and stand at the first unsettled request.

        Raises:
            Unavailable, ContractError: as the schema registry answers, where there is one.
        """
        await asyncio.to_thread(self._framing.register, (topics.TRAINING_RUNS, topics.MODEL_PROMOTION))
        await self._producer.start()
        known = KnownRuns()
        for run in await self._read_all(TopicAccess.REBUILD, topics.TRAINING_RUNS, TrainingRun):
            known.runs[run.run_id] = run
        for event in await self._read_all(TopicAccess.REBUILD, topics.MODEL_PROMOTION, ModelPromotion):
            known.sequences[event.model_line] = known.sequences.get(event.model_line, 0) + 1
            known.events.add(event.event_id)
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self._requests, number) for number in range(PARTITIONS)])
        return known

    async def stop(self) -> None:
        """Close both clients."""
        await self._consumer.stop()
        await self._producer.stop()

    async def ceiling(self, workload: str) -> Ceiling | None:
        """Return what was last measured of the workload's teacher, asked twice; None: nothing was."""
        found = [
            one for one in await self._read_all(TopicAccess.READ, topics.CEILINGS, Ceiling) if one.workload == workload
        ]
        return found[-1] if found else None

    async def poll(self) -> list[ConsumerRecord[bytes, bytes]]:
        """Return the next requests, soon, in the order of each partition."""
        batches = await self._consumer.getmany(timeout_ms=_POLL_MS)
        messages = [message for batch in batches.values() for message in batch]
        await self._learn(messages)
        return messages

    def decoded(self, record: type[R], value: bytes | None) -> R | None:
        """Return the record, or None where the bytes are none of ours."""
        try:
            return None if value is None else self._framing.decode(record, value)
        except RecordRejected:
            return None

    async def write(
        self, runs: Sequence[TrainingRun], event: ModelPromotion | None = None, offsets: dict[int, int] | None = None
    ) -> None:
        """Write runs, an event and consumed offsets (partition -> next) in one transaction."""
        async with self._producer.transaction():
            for run in runs:
                await self._send(topics.TRAINING_RUNS, run.workload, run)
            if event is not None:
                await self._send(topics.MODEL_PROMOTION, event.model_line, event, headers_of(event))
            if offsets:
                at = {TopicPartition(self._requests, number): offset for number, offset in offsets.items()}
                await self._producer.send_offsets_to_transaction(at, self._group)

    async def _send(self, topic: Topic, workload: str, record: Record, headers: Any = None) -> None:
        await self._producer.send(
            self._names[TopicAccess.WRITE][topic], self._framing.encode(topic, record), key=workload.encode(),
            partition=partition_of(workload, PARTITIONS), headers=headers,
        )  # fmt: skip

    async def _read_all(self, access: TopicAccess, topic: Topic, record: type[R]) -> list[R]:
        """Return all records of a topic that are committed now."""
        name = self._names[access][topic]
        consumer = AIOKafkaConsumer(
            **aiokafka(self._settings), isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            parts = [TopicPartition(name, number) for number in range(PARTITIONS)]
            consumer.assign(parts)
            await consumer.seek_to_beginning(*parts)
            ends = await consumer.end_offsets(parts)  # the last stable offset: our own open transactions are fenced
            found: list[R] = []
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for batch in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    await self._learn(batch)
                    found += [one for message in batch if (one := self.decoded(record, message.value)) is not None]
            return found
        finally:
            await consumer.stop()

    async def _learn(self, messages: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Fetch the schemas that messages name, waiting for those the registry may soon know."""
        values = [message.value for message in messages]
        while True:
            try:
                return await asyncio.to_thread(self._framing.learn, values)
            except NotYetKnown:
                await asyncio.sleep(_NOT_YET_SECONDS)
