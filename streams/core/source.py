"""Feeds a stage batches and settles each in one Kafka transaction: the exactly-once core.

The life of a batch:
  1 consume it, with the group's metadata and the ownership epoch of each partition
  2 hand it to the stage's Faust agent as one event and wait; a long wait pauses the partitions and polling goes on
  3 refuse what changed hands meanwhile: the partition's next owner will process it
  4 begin, produce every output, send the batch's own last offset + 1 per partition, commit; the next batch is
    consumed at the same time, under its own metadata and epochs: what the group gave away meanwhile, Kafka fences
  5 let the stage merge its overlay; after an abort, drop it. Only then the next batch is processed; what the stage left
    of this one is its head

A batch that fails is tried again, then bisected, until the poison record is alone and becomes a dead letter in
the same kind of transaction. `Unavailable` is not poison: the same batch waits for as long as it takes. A partition
most of whose records become dead letters pauses (breaker.py). Partitions go on only after their state is rebuilt
(rebuild.py). It does not know what a stage does.

What is promised: exactly once from the broker's acknowledgement of a source record, for readers that read committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, TypeVar

from confluent_kafka import TopicPartition

from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.errors import BadInput, ContractError, Unavailable
from schemas.topics import DEAD_LETTERS
from streams.core import metrics
from streams.core.batch import Batch
from streams.core.breaker import Breakers
from streams.core.leftover import NOTHING, joined, without
from streams.core.liveness import StageProgress
from streams.core.membership import Membership, SourcePartition, Taken
from streams.core.rebuild import OwnTopics
from streams.core.residual import ACCOUNTED, residual
from streams.core.stage import Closing, Message, Output, Settlement, Stage
from streams.core.state_lock import Instance
from streams.core.transaction import Aborted, Transactions, WorkerFailed
from streams.settings import WorkerSettings

_QUIET_SECONDS: Final = 1.0  # a batch in work for longer pauses its partitions, so that polling can go on
_POLL_SECONDS: Final = 0.25
_SHORT_SECONDS: Final = 0.05
_TICK_SECONDS: Final = 1.0
_LAG_SECONDS: Final = 5.0
_LONGEST_WAIT_SECONDS: Final = 5.0  # between two attempts while something outside does not answer
_ABORTS: Final = 20  # of one batch whose partitions stayed ours: then a fresh process may do better

_NO_RECORD_AT_FAULT: Final = (WorkerFailed, ContractError, BadInput)  # of these none becomes a dead letter

T = TypeVar("T")
log = logging.getLogger("millrace.worker.source")


class _ChangedHands(Exception):
    """A partition of the batch is no longer ours, or was rebuilt since: settle nothing of it."""


class Source:
    """The consumer, the transactions and the loop of one stage."""

    def __init__(
        self,
        settings: WorkerSettings,
        stage: Stage,
        hand_over: Callable[[Batch], Awaitable[Any]],
        framing: Framing = SINGLE_OBJECTS,
    ) -> None:
        """Take the stage's state folder.

        `hand_over` puts a batch on the channel of the stage's agent; `framing` is the stage's own, so that what is
        asked for here, the stage finds known.

        Raises:
            SettingsError: another worker holds the state folder.
        """
        self.stage, self._settings, self._hand_over, self._framing = stage, settings, hand_over, framing
        self.progress = StageProgress(stage.name, settings.stall_seconds)
        self._instance = Instance(settings.worker_dir / stage.name)
        self._members = Membership(settings, stage)
        self._transactions = Transactions(settings, stage.name, self._instance.name, framing)
        self._consuming = ThreadPoolExecutor(1, thread_name_prefix=f"consume-{stage.name}")
        self._settling = ThreadPoolExecutor(1, thread_name_prefix=f"settle-{stage.name}")
        self._ahead: Taken | None = None  # consumed while the batch before it was committed
        self._left: Taken | None = None  # what the stage left of the batch before: the head of the next
        self._room = stage.batch_records  # of the next batch, beside what is left
        self._held: AbstractSet[int] = frozenset()
        self._breakers = Breakers()
        self._rebuilt: set[int] = set()
        self._next: dict[SourcePartition, int] = {}  # the first offset not settled
        self._appended: dict[SourcePartition, datetime] = {}  # when the last settled record came in
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until asked to stop.

        Raises:
            ContractError: a topic or a start offset is not what it must be.
            WorkerFailed: this process cannot go on; a fresh one can.
        """
        try:
            await self._on(self._settling, self._transactions.open)
            await self._on(self._consuming, self._members.open)
            ticked = looked = time.monotonic()
            while not self._stopping.is_set():
                await self._follow_assignment()
                await self._put_through(await self._take())
                if time.monotonic() - ticked >= _TICK_SECONDS:
                    await self._tick()
                    ticked = time.monotonic()
                if time.monotonic() - looked >= _LAG_SECONDS:
                    self._show_lag(await self._on(self._consuming, self._members.lag))
                    looked = time.monotonic()
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            log.info("%s: stopped; the batch in work was dropped and will come again", self.stage.name)
        finally:
            self._transactions.give_up()
            await asyncio.shield(self._on(self._consuming, self._members.close))
            await asyncio.shield(self._on(self._settling, self._transactions.close))
            if isinstance(self.stage, Closing):
                await self.stage.close()
            self._consuming.shutdown()
            self._settling.shutdown()
            self._instance.release()

    def stop(self) -> None:
        """Finish the batch in work, if it comes soon, and end `run`."""
        self._stopping.set()

    @property
    def ready(self) -> bool:
        """Return whether every partition that is ours is rebuilt."""
        return self._members.ready() and bool(self._rebuilt)

    async def _follow_assignment(self) -> None:
        for number in self._members.gone() & self._rebuilt:
            self._rebuilt.discard(number)
            self.stage.revoke(number)
            for place in self._members.places(number):
                self._next.pop(place, None)
                self._appended.pop(place, None)
                metrics.show_lag(self.stage.name, place, 0, 0.0)  # another worker reports it now
            self._breakers.forget(number)
        for number in self._members.fresh():
            if not self._stopping.is_set():
                await self._rebuild(number)

    async def _rebuild(self, number: int) -> None:
        """Rebuild the state of a partition in the order that rebuild.py gives, then let its messages come."""
        started = time.perf_counter()
        places = self._members.places(number)
        epochs = self._members.epochs_of(places)
        offsets = await self._on(self._consuming, lambda: self._members.committed(places))  # step 1
        if offsets is None:
            await self._on(self._consuming, self._members.keep_alive)
            return  # asked again at the next turn: the partition may have gone by then
        reader = OwnTopics(self._settings, self.stage.name, offsets)
        self.progress.rebuilding(lambda: reader.records)
        try:
            await self._while_polling(asyncio.to_thread(self.stage.assign, number, reader))  # steps 2 and 3
        finally:
            reader.give_up()
        while self._members.epochs_of(places) != epochs or not await self._on(
            self._consuming,
            lambda: self._members.start(offsets),  # step 4
        ):
            if self._members.epochs_of(places) != epochs or self._stopping.is_set():
                self.stage.revoke(number)
                return
            await self._on(self._consuming, self._members.keep_alive)
            await asyncio.sleep(_SHORT_SECONDS)
        self._rebuilt.add(number)
        self._next |= offsets
        self.progress.made()
        seconds = time.perf_counter() - started
        metrics.REBUILD_SECONDS.labels(self.stage.name).observe(seconds)
        log.info("%s: partition %d rebuilt from %d records in %.2f s", self.stage.name, number, reader.records, seconds)

    async def _take(self) -> Taken:
        """Step 1: return what was left with the batch that is there already; or wait a while for one."""
        left, self._left = self._left, None
        taken, self._ahead = self._ahead, None
        now = time.monotonic()
        opened = self._breakers.opened(now)
        most = min(self._room, self._breakers.most(self.stage.batch_records, now))
        if taken is None and most > 0:
            wait, holding = left is None, opened | self._held
            taken = await self._on(self._consuming, lambda: self._members.take(most, wait=wait, holding=holding))
        if left is not None:
            fence = await self._on(self._consuming, self._members.metadata)
            return joined(left, taken, fence, self._members.place)
        if taken is None or not taken.messages:
            self.progress.idle()
        return taken or NOTHING

    async def _take_ahead(self) -> None:
        """Consume the next batch, if one is there, while the last is committed; a breaker's probe is taken alone."""
        if self._ahead is None and self._room > 0 and not self._held and self._breakers.all_closed():
            taken = await self._on(self._consuming, lambda: self._members.take(self._room, wait=False))
            self._ahead = taken if taken.messages else None

    async def _put_through(self, taken: Taken) -> None:
        """Process and settle a batch; what fails for good is parted until the poison record is alone."""
        if not taken.messages:
            return
        self.progress.working()
        metadata, epochs = taken.metadata, taken.epochs
        stack: list[Sequence[Message]] = [taken.messages]
        while stack:
            messages = stack.pop()
            if not all(self._members.unchanged(place, epochs) for place in epochs):
                messages = [m for m in messages if self._members.unchanged(self._members.place(m), epochs)]
            if not messages:
                continue
            try:
                left = await self._try_again_and_again(messages, metadata, epochs)
                if left and self._stopping.is_set():
                    return  # it comes again, with what follows it
                if left and stack:  # later messages wait: these go first, and rebalances are heard of meanwhile
                    metadata = await self._on(self._consuming, self._members.hear_of_rebalance)
                    stack.append(left)
                elif left:
                    self._left = Taken(list(left), metadata, epochs)
            except _ChangedHands:
                stack.append(messages)  # what is still ours goes again
            except Exception as error:
                if isinstance(error, _NO_RECORD_AT_FAULT):
                    raise
                if len(messages) > 1:
                    half = len(messages) // 2
                    stack += [messages[half:], messages[:half]]
                else:
                    await self._bury(messages[0], error, metadata, epochs)

    async def _try_again_and_again(
        self, messages: Sequence[Message], metadata: Any, epochs: dict[SourcePartition, int]
    ) -> Sequence[Message]:
        """Process and settle, and return what is left; a failure is tried again a few times, an outage for ever."""
        failures, wait = 0, self._settings.retry_seconds
        while True:
            try:
                settlement = await self._process(messages)
                settled = without(messages, settlement.left)
                self._held = settlement.held & {m.partition for m in settlement.left}  # else nothing would let go of it
                self._room = self.stage.batch_records - sum(m.partition not in self._held for m in settlement.left)
                if settled:
                    await self._settle(settlement, self._members.ends_of(settled), metadata, epochs, settled)
                else:
                    self.progress.waiting()  # the stage is there, and what it waits for is outside
            except Unavailable as error:
                log.warning("%s: %s; partitions pause", self.stage.name, error)
                metrics.RETRIES.labels(self.stage.name, "unavailable").inc()
                self.progress.waiting()
                await self._wait(wait)
                self.progress.working()
            except (_ChangedHands, *_NO_RECORD_AT_FAULT):
                raise
            except Exception as error:
                failures += 1
                # The message may quote the text: only the kind of the error is logged.
                log.warning("%s: %s in a batch of %d", self.stage.name, type(error).__name__, len(messages))
                if failures >= self._settings.attempts:
                    raise
                metrics.RETRIES.labels(self.stage.name, "failed").inc()
                await self._wait(wait)
            else:
                return settlement.left
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            if not all(self._members.unchanged(place, epochs) for place in self._members.ends_of(messages)):
                raise _ChangedHands

    async def _bury(
        self, message: Message, error: Exception, metadata: Any, epochs: dict[SourcePartition, int]
    ) -> None:
        settlement = self.stage.poison(message, error, self._settings.attempts)
        with suppress(_ChangedHands):
            await self._settle(settlement, self._members.ends_of([message]), metadata, epochs, [message])

    async def _process(self, messages: Sequence[Message]) -> Settlement:
        """Step 2: let the stage work on the batch."""
        if self._framing.asks:
            await self._while_polling(asyncio.to_thread(self._framing.learn, [message.value for message in messages]))
        started = time.perf_counter()
        batch = Batch(self.stage, messages)
        await self._hand_over(batch)
        settlement = await self._while_polling(batch.answered)
        metrics.PROCESS_SECONDS.labels(self.stage.name).observe(time.perf_counter() - started)
        return settlement

    async def _tick(self) -> None:
        epochs = self._members.epochs_of([place for number in self._rebuilt for place in self._members.places(number)])
        try:
            due = await self._while_polling(asyncio.ensure_future(self.stage.tick(datetime.now(UTC))))
        except Unavailable as error:
            log.warning("%s: %s; what is due by time waits", self.stage.name, error)
            return
        for number, settlement in due.items():
            if number not in self._rebuilt:
                settlement.aborted()
                continue
            ends = {place: self._next[place] for place in self._members.places(number) if place in self._next}
            metadata = await self._on(self._consuming, self._members.metadata)
            try:
                await self._settle(settlement, ends, metadata, epochs)
            except _ChangedHands:
                log.info("%s: partition %d went elsewhere during a tick", self.stage.name, number)

    async def _settle(
        self,
        settlement: Settlement,
        ends: dict[SourcePartition, int],
        metadata: Any,
        epochs: dict[SourcePartition, int],
        messages: Sequence[Message] = (),
    ) -> None:
        """Write a settlement's outputs with the offsets, then let the stage's state change."""
        started = time.perf_counter()
        try:
            await self._commit(settlement.outputs, ends, metadata, epochs)
        except BaseException:
            settlement.aborted()
            raise
        settlement.committed()  # step 5
        self._next |= ends
        self.progress.made()
        metrics.SETTLE_SECONDS.labels(self.stage.name).observe(time.perf_counter() - started)
        metrics.show_settled(self.stage.name, settlement.outputs, len(messages))
        if self.stage.name in ACCOUNTED:
            metrics.RESIDUAL.labels(self.stage.name).inc(residual(messages, settlement.outputs))
        if messages:
            self._appended |= {place: last.appended for place, last in self._members.last_of_each(messages).items()}
            self._mind_breakers(messages, settlement.outputs)

    async def _commit(
        self,
        outputs: Sequence[Output],
        ends: dict[SourcePartition, int],
        metadata: Any,
        epochs: dict[SourcePartition, int],
    ) -> None:
        """Run the transaction until it is committed, or something in it has changed hands."""
        encoded = await self._on(self._settling, lambda: self._transactions.encode(outputs))
        offsets = [TopicPartition(*place, end) for place, end in ends.items()]
        for _ in range(_ABORTS):
            if not all(self._members.unchanged(place, epochs) for place in ends):  # step 3
                raise _ChangedHands
            fence = metadata
            settled = asyncio.ensure_future(
                self._on(self._settling, lambda: self._transactions.settle(encoded, offsets, fence))  # noqa: B023
            )
            try:  # step 4
                try:
                    await self._take_ahead()
                finally:
                    await asyncio.shield(settled)
            except Aborted:
                # Most often the group moved on to another generation: hear of it, then see what is still ours.
                metadata = await self._on(self._consuming, self._members.hear_of_rebalance)
            else:
                return
        raise WorkerFailed(f"{self.stage.name}: {_ABORTS} transactions of one batch were aborted")

    def _mind_breakers(self, messages: Sequence[Message], outputs: Sequence[Output]) -> None:
        settled = Counter(map(itemgetter(1), messages))  # by partition
        dead = Counter(output.partition for output in outputs if output.topic is DEAD_LETTERS)
        for number, closed in self._breakers.settled(settled, dead, time.monotonic()).items():
            metrics.BREAKER.labels(self.stage.name, str(number)).set(not closed)
            what = "goes on" if closed else "pauses: more than half of its records became dead letters"
            log.warning("%s: partition %d %s", self.stage.name, number, what)

    async def _while_polling(self, work: Awaitable[T]) -> T:
        """Wait for work; when it takes long, keep the consumer in its group with everything paused."""
        task = asyncio.ensure_future(work)
        deadline: float | None = None
        paused = False
        wait = _QUIET_SECONDS
        try:
            while not (await asyncio.wait({task}, timeout=wait))[0]:
                if not paused:
                    await self._on(self._consuming, self._members.pause)
                    paused, wait = True, _POLL_SECONDS
                await self._on(self._consuming, self._members.keep_alive)
                if self._stopping.is_set():
                    deadline = deadline or time.monotonic() + self._settings.stop_seconds
                    if time.monotonic() > deadline:
                        raise asyncio.CancelledError
            return task.result()
        finally:
            task.cancel()
            if paused:
                await self._on(self._consuming, self._members.resume)

    async def _wait(self, seconds: float) -> None:
        """Pause for a while, polling; end the batch where the worker is asked to stop."""
        stopped = asyncio.create_task(self._stopping.wait())
        await self._while_polling(asyncio.wait({stopped}, timeout=seconds))
        stopped.cancel()
        if self._stopping.is_set():
            raise asyncio.CancelledError

    def _show_lag(self, lag: dict[SourcePartition, int]) -> None:
        for place, records in lag.items():
            age = (datetime.now(UTC) - self._appended[place]).total_seconds() if place in self._appended else 0.0
            metrics.show_lag(self.stage.name, place, records, age if records else 0.0)
        self.progress.lag(sum(lag.values()))

    async def _on(self, thread: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, call)
