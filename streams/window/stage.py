"""The window stage: `labels` and `training-runs` in, rows in the store, at most one retrain request at a time out.

A count trigger fires at an exact label, however the batches fell:
  1 the batch's rows go into the store, each with its offset
  2 the batch is walked in order; at the label that is due, the rows below its offset + 1 are selected
  3 the snapshot is written (one that no request names is garbage)
  4 the request goes out in the batch's transaction; only then does the stage know of it

Everything that decides (epoch, labels since the last request, run in flight) is read back from our topics on
assignment, never from the store. `model-state` is read for the champion a new student is compared with.
"""

from __future__ import annotations

import asyncio
import logging
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import duckdb

from deploy.edge.process.settings import Settings
from deploy.edge.stores import window_copy
from deploy.edge.stores.object_store import ObjectStore
from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas import topics
from schemas.errors import RecordRejected, Unavailable
from schemas.events import ModelState, RetrainRequest, TrainingRun, TriggerVerdict
from schemas.job import ChampionSpec
from schemas.principals import Principal
from schemas.records import LabelKind, LabelRecord, Record
from schemas.rules.partition import partition_of
from schemas.topics import Topic
from schemas.workload import Workload
from streams.core.dead_letter import dead_letter_of_ours, failed
from streams.core.stage import Message, Output, Reader, Settlement
from streams.core.transaction import WorkerFailed
from streams.triggers import cost, policy
from streams.triggers.board import Board, WorkloadKey
from streams.triggers.policy import Standing
from streams.window import copying, job, metrics, snapshot
from streams.window.columns import Labelled
from streams.window.gauges import Gauges
from streams.window.selection import select, training_limits
from streams.window.standing import ENDED, with_label, with_past_label, with_request, with_run
from streams.window.store import Store

LOG: Final = logging.getLogger("millrace.window")
BATCH_RECORDS: Final = 5_000
REBUILD_RECORDS: Final = 10_000  # written to the store at once
PRUNE_EVERY: Final = timedelta(minutes=10)

R = TypeVar("R", bound=Record)


@dataclass(slots=True)
class _WindowOverlay:
    """What one batch or tick changes, over the state it does not touch."""

    standings: ChainMap[WorkloadKey, Standing]
    positions: ChainMap[int, int]  # partition -> next offset of `labels`
    champions: ChainMap[WorkloadKey, ChampionSpec | None]
    outputs: list[Output] = field(default_factory=list)

    def standing(self, place: WorkloadKey) -> Standing:
        return self.standings.get(place, Standing())


class WindowStage:
    """Keeps the window and asks for retrains."""

    name = Principal.WINDOW
    sources: tuple[Topic, ...] = topics.STAGES[name]
    batch_records = BATCH_RECORDS

    def __init__(
        self, settings: Settings, workloads: Mapping[str, Workload], framing: Framing = SINGLE_OBJECTS
    ) -> None:
        """Open the store.

        Raises:
            SettingsError: another process holds the store, or the snapshots' URL cannot be used.
        """
        self._workloads = workloads
        self._framing = framing
        self._snapshots = settings.artefacts_dir / "snapshots"
        self._objects = ObjectStore(settings.snapshots_url) if settings.snapshots_url else None
        for folder in snapshot.sweep(self._snapshots, datetime.now(UTC)):
            LOG.info("removed %s, which a kill left half-written", folder)
        self._folder = window_copy.folder(settings.state_dir)
        self._store = Store(self._folder / window_copy.STORE)
        self._standings: dict[WorkloadKey, Standing] = {}
        self._positions: dict[int, int] = {}
        self._champions: dict[WorkloadKey, ChampionSpec | None] = {}
        self._topic_ids: dict[int, str] = {}
        self._gauges = Gauges(workloads, self._store)
        self._board = Board(settings.state_dir, workloads)
        self._pruned: datetime | None = None
        for workload in workloads.values():
            if not workload.teacher.may_train:
                LOG.warning(
                    "%s: teacher.may_train is false: labels are kept, but no retrain is ever requested", workload.name
                )

    def assign(self, partition: int, reader: Reader) -> None:
        """Read requests, runs, champions and labels back; the store's rows are kept where they are still true."""
        self._forget(partition)
        spent: dict[str, tuple[int, int]] = {}  # by workload: the offsets of the last two requests
        for request in self._read(reader, topics.RETRAIN_REQUESTS, partition, RetrainRequest):
            place = (partition, request.workload)
            self._standings[place] = with_request(self._standings.get(place, Standing()), request)
            spent[request.workload] = (spent.get(request.workload, (0, 0))[1], request.labels_offset)
        for run in self._read(reader, topics.TRAINING_RUNS, partition, TrainingRun, settled=True):
            place = (partition, run.workload)
            self._standings[place] = with_run(self._standings.get(place, Standing()), run)
        for state in self._read(reader, topics.MODEL_STATE, partition, ModelState, settled=True):
            self._champions[partition, state.workload] = job.champion_of(state)
        self._read_labels(partition, reader, spent)
        self._gauges.changed(partition)

    def revoke(self, partition: int) -> None:
        """Delete the partition's rows and forget its state."""
        self._forget(partition)
        self._store.drop(partition)
        self._gauges.forget(partition)
        self._board.forget(partition)

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Take a batch in and ask for the retrains that fall due in it.

        Raises:
            Unavailable: the disk does not take the rows or the snapshot, or the object store the latter.
            WorkerFailed: the store can no longer be used by this process.
        """
        return await asyncio.to_thread(self._guarded, messages)

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Return the dead letter of a record our own code fails on."""
        return Settlement([dead_letter_of_ours(message, self.name, failed(error), self._framing, attempts)])

    async def tick(self, now: datetime) -> dict[int, Settlement]:
        """Ask for the retrains that fall due by time: a last request too old, a cooldown that is over."""
        await asyncio.to_thread(self._gauges.update, self._standings)
        await asyncio.to_thread(self._board.update, self._standings, now)
        await asyncio.to_thread(copying.give, self._store, self._folder, now)
        if self._pruned is None or now - self._pruned >= PRUNE_EVERY:
            await asyncio.to_thread(self._prune)
            self._pruned = now
        settlements: dict[int, Settlement] = {}
        for partition in list(self._positions):
            turn = self._turn()
            for place, standing in self._standings.items():
                if place[0] == partition and standing.new_labels != standing.refused_at:
                    await asyncio.to_thread(self._consider_in_time, turn, place, now)
            if turn.outputs or turn.standings.maps[0]:
                settlements[partition] = self._settlement(turn, {partition})
        return settlements

    async def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _guarded(self, messages: Sequence[Message]) -> Settlement:
        with _disk():
            return self._process(messages)

    def _process(self, messages: Sequence[Message]) -> Settlement:
        turn = self._turn()
        decoded: list[tuple[Message, Record]] = []
        for message in messages:
            try:
                decoded.append((message, self._framing.decode(message.topic.record, message.value or b"")))
            except RecordRejected as error:
                turn.outputs.append(dead_letter_of_ours(message, self.name, error, self._framing))
        self._store_labels(decoded)
        for message, record in decoded:
            if isinstance(record, LabelRecord):
                self._take_label(turn, (message.partition, record.workload), record, message)
            elif isinstance(record, TrainingRun):
                self._take_run(turn, (message.partition, record.workload), record, message)
            elif isinstance(record, ModelState):
                turn.champions[message.partition, record.workload] = job.champion_of(record)
        return self._settlement(turn, {message.partition for message in messages})

    def _store_labels(self, decoded: Sequence[tuple[Message, Record]]) -> None:
        labelled = [
            Labelled(message.partition, message.offset, record)
            for message, record in decoded
            if isinstance(record, LabelRecord)
        ]
        by_topic: dict[str, list[Labelled]] = {}  # usually one: a topic that was made again has another id
        for item in labelled:
            by_topic.setdefault(self._topic_ids.get(item.partition, ""), []).append(item)
        for topic_id, mine in by_topic.items():
            self._store.write(mine, topic_id)

    def _take_label(self, turn: _WindowOverlay, place: WorkloadKey, record: LabelRecord, message: Message) -> None:
        turn.positions[message.partition] = message.offset + 1
        workload, before = self._workloads.get(place[1]), turn.standing(place)
        after = turn.standings[place] = with_label(before, record, message.appended, workload)
        if workload is None or record.kind not in (LabelKind.LABEL, LabelKind.ANCHOR):
            return
        if policy.looks_now(before, after, workload, record):
            self._consider(turn, place, message.appended)

    def _take_run(self, turn: _WindowOverlay, place: WorkloadKey, run: TrainingRun, message: Message) -> None:
        before = turn.standing(place)
        after = turn.standings[place] = with_run(before, run)
        waited = run.state in ENDED and before.in_flight is not None and after.in_flight is None
        if waited and place[1] in self._workloads:
            self._consider(turn, place, message.appended)

    def _consider_in_time(self, turn: _WindowOverlay, place: WorkloadKey, now: datetime) -> None:
        """Consider what only time can make due; a count alone was considered when its label came."""
        workload = self._workloads.get(place[1])
        if workload is None or not policy.looks_in_time(turn.standing(place), workload.triggers):
            return
        with _disk():
            self._consider(turn, place, now)

    def _consider(self, turn: _WindowOverlay, place: WorkloadKey, now: datetime) -> None:
        """Add a request to the turn if the triggers ask, nothing holds it back, and there is enough to learn from."""
        partition, workload = place[0], self._workloads[place[1]]
        standing = turn.standing(place)
        triggers = workload.triggers
        verdicts = policy.verdicts(standing, workload, now)
        fired = policy.asking(verdicts, triggers)
        if fired is None or policy.held_back(standing, now, triggers, may_train=workload.teacher.may_train):
            return
        below = turn.positions[partition]
        limits = training_limits(self._store, workload, partition, below)
        checks = _checks(standing, workload, limits)
        refused = next((check for check in checks if not check.fired), None)
        if refused is not None:
            LOG.info("%s: no retrain: %s", workload.name, refused.explanation)
            turn.standings[place] = replace(standing, refused_at=standing.new_labels)
            return
        rows = select(self._store, workload, partition, below, limits)
        taken = snapshot.write(
            self._snapshots,
            workload,
            rows,
            epoch=standing.epoch + 1,
            partition=partition,
            below=below,
            earlier=standing.requested_at,
            store=self._objects,
        )
        champion = turn.champions.get(place)
        request = job.request(workload, taken, [*verdicts, *checks], fired, champion=champion, time=now)
        turn.outputs.append(Output(topics.RETRAIN_REQUESTS, partition, workload.name, request))
        turn.standings[place] = with_request(standing, request)

    def _turn(self) -> _WindowOverlay:
        return _WindowOverlay(
            ChainMap({}, self._standings), ChainMap({}, self._positions), ChainMap({}, self._champions)
        )

    def _settlement(self, turn: _WindowOverlay, partitions: set[int]) -> Settlement:
        def committed() -> None:
            self._standings.update(turn.standings.maps[0])
            self._positions.update(turn.positions.maps[0])
            self._champions.update(turn.champions.maps[0])
            for partition in partitions:
                self._gauges.changed(partition)
            for output in turn.outputs:
                if isinstance(output.record, RetrainRequest):
                    _report(output.record)

        return Settlement(turn.outputs, committed=committed)

    def _read_labels(self, partition: int, reader: Reader, spent: Mapping[str, tuple[int, int]]) -> None:
        """Bring the store to the committed offset and count the labels since each workload's last request."""
        topic_id, committed = reader.topic_id(topics.LABELS), reader.committed(topics.LABELS, partition)
        self._topic_ids[partition] = topic_id
        self._positions[partition] = committed
        stored = self._still_true(partition, topic_id, committed)
        spent = {name: offsets if offsets[1] <= committed else (0, 0) for name, offsets in spent.items()}
        mine = [name for name in self._workloads if partition_of(name, topics.PARTITIONS) == partition]
        start = min([stored, *(spent.get(name, (0, 0))[0] for name in mine)])
        waiting: list[Labelled] = []
        for message in reader.read(topics.LABELS, partition, start or None):
            if message.offset >= committed:
                break
            record = self._decoded(LabelRecord, message)
            if record is None:
                continue
            self._count_again(partition, message, record, spent.get(record.workload, (0, 0)))
            if message.offset >= stored:
                waiting.append(Labelled(partition, message.offset, record))
            if len(waiting) >= REBUILD_RECORDS:
                self._store.write(waiting, topic_id)
                waiting.clear()
        self._store.write(waiting, topic_id)

    def _count_again(self, partition: int, message: Message, record: LabelRecord, spent: tuple[int, int]) -> None:
        """Count a label that was read back: it came after the last request, or in the epoch before it."""
        place, workload = (partition, record.workload), self._workloads.get(record.workload)
        standing = self._standings.get(place, Standing())
        if message.offset >= spent[1]:
            self._standings[place] = with_label(standing, record, message.appended, workload)
        elif message.offset >= spent[0]:
            self._standings[place] = with_past_label(standing, record, workload)

    def _still_true(self, partition: int, topic_id: str, committed: int) -> int:
        """Return the offset up to which the store's rows of a partition are right, after dropping what is not."""
        stored = self._store.position(partition)
        if stored is None:
            self._store.drop(partition)
            return 0
        wider = any(
            (days := self._store.pruned_days(partition, name)) is not None and days < workload.window.age_days
            for name, workload in self._workloads.items()
        )
        if stored.topic_id != topic_id or wider:
            LOG.info("partition %d: the window is made again from `labels`", partition)
            self._store.drop(partition)
            return 0
        if stored.next_offset > committed:
            self._store.cut(partition, committed)
        return min(stored.next_offset, committed)

    def _prune(self) -> None:
        for partition, below in self._positions.items():
            with _disk():
                self._store.erase(partition, below)
            for name in {place[1] for place in self._standings if place[0] == partition}:
                workload = self._workloads.get(name)
                if workload is not None:
                    with _disk():
                        self._store.prune(partition, workload, below)

    def _read(
        self, reader: Reader, topic: Topic, partition: int, kind: type[R], *, settled: bool = False
    ) -> Iterator[R]:
        """Yield a topic's records; `settled`: those below the offset from which the stage will be fed."""
        end = reader.committed(topic, partition) if settled else None
        for message in reader.read(topic, partition):
            if end is not None and message.offset >= end:
                return
            record = self._decoded(kind, message)
            if record is not None:
                yield record

    def _decoded(self, kind: type[R], message: Message) -> R | None:
        """Return the record, or None where it cannot be read: it became a dead letter when it was first consumed."""
        try:
            return self._framing.decode(kind, message.value or b"")
        except RecordRejected:
            return None

    def _forget(self, partition: int) -> None:
        for state in (self._standings, self._champions):
            for place in [place for place in state if place[0] == partition]:
                del state[place]
        self._positions.pop(partition, None)
        self._topic_ids.pop(partition, None)


@contextmanager
def _disk() -> Iterator[None]:
    """Distinguish a disk that takes no writes, which is no fault of the records, from a broken store."""
    try:
        yield
    except (OSError, duckdb.IOException) as error:
        raise Unavailable(f"the disk does not take it: {type(error).__name__}: {error}") from error
    except duckdb.FatalException as error:
        raise WorkerFailed(f"window: the store is no longer usable: {error}") from error


def _checks(standing: Standing, workload: Workload, limits: Mapping[str, int]) -> list[TriggerVerdict]:
    """Return what a request must pass last: enough rows and, where prices are given, a worth above its price."""
    triggers = workload.triggers
    worth = cost.verdict(
        triggers.cost,
        standing.watch.audits,
        limit=triggers.disagreement,
        alpha=triggers.alpha,
        rows=sum(limits.values()),
        new_labels=standing.new_labels,
    )
    enough = policy.enough(limits, triggers.least_rows)
    return [enough] if worth is None else [enough, worth]


def _report(request: RetrainRequest) -> None:
    for verdict in request.verdicts:
        if verdict.fired and verdict.trigger in policy.ASKING:
            metrics.FIRED.labels(request.workload, verdict.trigger).inc()
    metrics.REQUESTED.labels(request.workload).inc()
    why = next(verdict.explanation for verdict in request.verdicts if verdict.trigger == request.trigger)
    LOG.info(
        "%s: retrain request, epoch %d: %s Snapshot %s holds %d rows.",
        request.workload,
        request.epoch,
        why,
        request.snapshot_id,
        request.rows,
    )
