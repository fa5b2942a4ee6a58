"""The window stage, driven directly on a real DuckDB file."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deploy.edge.process.settings import Settings
from schemas import topics
from schemas.errors import Unavailable
from schemas.events import ModelState, RetrainRequest, RunState, ServedModel, TrainingRun
from schemas.ids import request_id
from schemas.job import JobSpec
from schemas.manifest import SnapshotManifest
from schemas.records import DeadLetter, LabelKind, LabelRecord, Record, Split
from schemas.topics import Topic
from schemas.workload import Workload
from streams.core.stage import Message, Settlement
from streams.window.stage import WindowStage
from tests.streams.doubles import NAME, PARTITION, START, MemoryReader, label, message, workload
from tests.streams.window.test_corrections import corrected

LABELS = ("earnings", "mergers", "other")
TRIGGERS = {"count": 40, "least_rows": 5}


class Rig:
    """A stage on a folder, with the topics it writes and reads back."""

    def __init__(self, folder: Path, snapshots_url: str | None = None, **tables: Any) -> None:
        self.folder, self.snapshots_url = folder, snapshots_url
        self.workload: Workload = workload(LABELS, **{"triggers": TRIGGERS} | tables)
        self.log: dict[Topic, list[Message]] = {}
        self.offsets: dict[Topic, int] = {}
        self.topic_ids: dict[Topic, str] = {}
        self.stage = self.started()

    def started(self) -> WindowStage:
        settings = Settings(
            state_dir=self.folder / "state", artefacts_dir=self.folder / "artefacts", snapshots_url=self.snapshots_url
        )
        self.stage = WindowStage(settings, {NAME: self.workload})
        self.stage.assign(PARTITION, MemoryReader(self.log, self.offsets, self.topic_ids))
        return self.stage

    async def restarted(self, *, lose_state: bool = False) -> None:
        await self.stage.close()
        if lose_state:
            (self.folder / "state" / "window" / "window.duckdb").unlink()
        self.started()

    def put(self, topic: Topic, *records: Record | bytes) -> list[Message]:
        log = self.log.setdefault(topic, [])
        new = [message(topic, 2 * (len(log) + at), each) for at, each in enumerate(records)]  # markers leave gaps
        log += new
        return new

    async def feed(self, messages: Sequence[Message]) -> list[RetrainRequest]:
        settlement = await self.stage.process(messages)
        self.settle(settlement, messages)
        return requests_of(settlement)

    def settle(self, settlement: Settlement, messages: Sequence[Message]) -> None:
        for each in messages:
            self.offsets[each.topic] = each.offset + 1
        self.put(topics.RETRAIN_REQUESTS, *requests_of(settlement))
        settlement.committed()

    async def labels(self, first: int, count: int, batch: int = 1_000) -> list[RetrainRequest]:
        new = self.put(topics.LABELS, *(said(number) for number in range(first, first + count)))
        found = []
        for at in range(0, len(new), batch):
            found += await self.feed(new[at : at + batch])
        return found

    async def run_ends(self, epoch: int, state: RunState = RunState.SUCCEEDED) -> list[RetrainRequest]:
        run = TrainingRun(
            run_id="run", request_id=request_id(NAME, epoch), workload=NAME, epoch=epoch, time=START, state=state
        )
        return await self.feed(self.put(topics.TRAINING_RUNS, run))


def said(number: int) -> LabelRecord:
    return label(number, LABELS[number % 3])


def requests_of(settlement: Settlement) -> list[RetrainRequest]:
    return [output.record for output in settlement.outputs if isinstance(output.record, RetrainRequest)]


def manifest_of(request: RetrainRequest) -> SnapshotManifest:
    return SnapshotManifest.from_bytes((Path(request.snapshot_uri) / "manifest.json").read_bytes())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.stage._store.close()


async def test_count__reaches_the_threshold(rig: Rig) -> None:
    """The request names an immutable snapshot of everything below its offset, and the job."""
    assert await rig.labels(0, 39) == []
    (request,) = await rig.labels(39, 5)

    manifest = manifest_of(request)
    job = JobSpec.from_json(request.job)
    rows = pq.read_table(Path(request.snapshot_uri) / "rows.parquet").to_pylist()
    assert (request.epoch, request.trigger, request.labels_offset) == (1, "count", 2 * 39 + 1)
    assert request.snapshot_sha256 == manifest.digest() == job.snapshot_sha256
    assert [row["record_id"] for row in rows] == sorted(f"record-{n}" for n in range(40))
    assert manifest.rows == request.rows == len(rows) == 40
    assert sum(sum(counts.values()) for counts in manifest.class_counts.values()) == 40
    assert (job.trigger_value, job.trigger_threshold, job.champion) == (40.0, 40.0, None)
    assert job.plan == rig.workload.rollout.plan()
    assert all(verdict.explanation for verdict in request.verdicts)


async def test_count__however_the_batches_fall(tmp_path: Path) -> None:
    """The trigger fires at the same label, with the same digest, whatever the batches are."""
    found = set()
    for seed in range(6):
        chance = random.Random(seed)
        rig = Rig(tmp_path / str(seed))
        new = rig.put(topics.LABELS, *(said(number) for number in range(60)))
        requests, at = [], 0
        while at < len(new):
            size = chance.randint(1, 35)
            requests += await rig.feed(new[at : at + size])
            at += size
        (request,) = requests
        found.add((request.labels_offset, manifest_of(request).rows_sha256, request.snapshot_sha256, request.time))
        await rig.stage.close()

    assert len(found) == 1


async def test_crossing__while_a_run_is_in_flight(rig: Rig) -> None:
    """One request is in flight at a time; crossings meanwhile are one request when the run ends."""
    assert len(await rig.labels(0, 40)) == 1
    assert await rig.labels(40, 100) == []
    (request,) = await rig.run_ends(1)

    assert (request.epoch, request.labels_offset) == (2, 2 * 139 + 1)
    assert manifest_of(request).rows == 140


async def test_run__of_another_request_or_not_ended(rig: Rig) -> None:
    """Only a terminal state of the request in flight frees the way."""
    await rig.labels(0, 90)

    assert await rig.run_ends(7) == []
    assert await rig.run_ends(1, RunState.PROGRESS) == []
    assert len(await rig.run_ends(1, RunState.FAILED)) == 1


async def test_batch__aborted_between_snapshot_and_request(rig: Rig) -> None:
    """A transaction that fails after the snapshot was written leads to exactly one request, of the same snapshot."""
    new = rig.put(topics.LABELS, *(said(number) for number in range(45)))
    first = await rig.stage.process(new)
    first.aborted()
    second = await rig.stage.process(new)
    rig.settle(second, new)

    assert requests_of(first) == requests_of(second)
    assert len(rig.log[topics.RETRAIN_REQUESTS]) == 1
    assert len(list((rig.folder / "artefacts" / "snapshots" / NAME).iterdir())) == 1
    assert await rig.labels(45, 30) == []


async def test_disk__full(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing is an outage, whose cause the log will name."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streams.window.snapshot.os.fsync", full)
    new = rig.put(topics.LABELS, *(said(number) for number in range(45)))

    with pytest.raises(Unavailable, match=r"the disk does not take it: OSError: \[Errno 28\] No space left on device"):
        await rig.stage.process(new)


async def test_object_store__out_of_reach_and_back(tmp_path: Path) -> None:
    """An outage of the store refuses the batch, nothing is lost, and the same batch brings the request."""
    share = tmp_path / "share"
    rig, plain = Rig(tmp_path / "stored", share.as_uri()), Rig(tmp_path / "plain")
    new = rig.put(topics.LABELS, *(said(number) for number in range(45)))
    for _ in range(2):
        with pytest.raises(
            Unavailable, match=f"the object store {share.as_uri()} does not answer: {share} is no folder"
        ):
            await rig.stage.process(new)
    share.mkdir()
    (request,) = await rig.feed(new)
    (same,) = await plain.labels(0, 45)

    assert request.snapshot_uri == JobSpec.from_json(request.job).snapshot_uri
    assert request.snapshot_uri == f"{share.as_uri()}/{NAME}/{request.snapshot_id}"
    assert request.snapshot_sha256 == same.snapshot_sha256
    stored, local = share / NAME / request.snapshot_id, Path(same.snapshot_uri)
    for file in ("manifest.json", "rows.parquet"):
        assert (stored / file).read_bytes() == (local / file).read_bytes()
    assert not list((rig.folder / "artefacts" / "snapshots" / NAME).iterdir())  # gone once the store has it
    await rig.stage.close()
    await plain.stage.close()


@pytest.mark.parametrize("lose_state", [False, True])
async def test_worker__killed_between_snapshot_and_request(rig: Rig, lose_state: bool) -> None:
    """After a kill the same request comes once, with or without the worker's disk."""
    await rig.labels(0, 30)
    new = rig.put(topics.LABELS, *(said(number) for number in range(30, 50)))
    lost = requests_of(await rig.stage.process(new))
    await rig.restarted(lose_state=lose_state)
    (request,) = await rig.feed(new)

    assert [request] == lost
    assert await rig.labels(50, 30) == []


@pytest.mark.parametrize("lose_state", [False, True])
async def test_worker__restarted_with_a_run_in_flight(rig: Rig, lose_state: bool) -> None:
    """Epoch, run in flight and the count since the last request come from the topics."""
    await rig.labels(0, 75)
    await rig.restarted(lose_state=lose_state)

    assert await rig.labels(75, 10) == []
    (request,) = await rig.run_ends(1)
    assert request.epoch == 2
    assert request.verdicts[0].numbers["labels"] == 45
    assert manifest_of(request).rows == 85


@pytest.mark.parametrize("lose_state", [False, True])
async def test_worker__run_ended_and_restarted_just_below_the_threshold(rig: Rig, lose_state: bool) -> None:
    """A restart between two labels does not move the label at which the trigger fires."""
    await rig.labels(0, 60)
    await rig.run_ends(1)
    await rig.restarted(lose_state=lose_state)
    (request,) = await rig.labels(60, 30)

    assert request.labels_offset == 2 * 79 + 1


async def test_labels__made_anew(rig: Rig) -> None:
    """Another topic id means other labels: the store's rows are dropped and read again."""
    await rig.labels(0, 30)
    rig.log[topics.LABELS] = []
    rig.put(topics.LABELS, *(label(number, "other") for number in range(100, 110)))
    rig.offsets[topics.LABELS] = 2 * 9 + 1
    rig.topic_ids[topics.LABELS] = "another"
    await rig.restarted()

    assert rig.stage._store.counts(PARTITION).total() == 10


async def test_partition__goes_elsewhere_and_returns(rig: Rig) -> None:
    """A revoked partition's rows are deleted; when it returns they are read back."""
    await rig.labels(0, 30)
    rig.stage.revoke(PARTITION)
    assert not rig.stage._store.counts(PARTITION)

    rig.stage.assign(PARTITION, MemoryReader(rig.log, rig.offsets))
    assert rig.stage._store.counts(PARTITION).total() == 30


async def test_window__of_one_class(tmp_path: Path) -> None:
    """One class is not enough: no request, until a second class comes; looked at again every tenth of the threshold."""
    rig = Rig(tmp_path)
    new = rig.put(topics.LABELS, *(label(n, "other" if n < 60 else "mergers") for n in range(100)))
    (request,) = await rig.feed(new)

    assert request.verdicts[0].numbers["labels"] > 60
    assert (request.verdicts[0].numbers["labels"] - 40) % 4 == 0
    assert manifest_of(request).class_counts["TRAIN"]["mergers"] > 0


async def test_window__with_too_few_rows(tmp_path: Path) -> None:
    """Below the least number of training rows nothing is asked for."""
    rig = Rig(tmp_path, triggers={"count": 20, "least_rows": 1_000})

    assert await rig.labels(0, 40) == []


async def test_teacher__whose_terms_do_not_allow_training(tmp_path: Path) -> None:
    """Labels are kept, but no retrain is asked for."""
    rig = Rig(tmp_path, teacher={"may_train": False})

    assert await rig.labels(0, 100) == []
    assert rig.stage._store.counts(PARTITION).total() == 100


async def test_correction__is_not_a_new_label_and_counts_from_its_offset(tmp_path: Path) -> None:
    """Second answers bring no retrain nearer; one behind the due label is not in its snapshot; in any batches."""
    found = []
    for batch in (1_000, 7):
        rig = Rig(tmp_path / str(batch))
        again = [corrected(number, "other", 2 * number) for number in (3, 4)]
        labels = [label(number, "mergers", split=Split.TRAIN) for number in range(41)]
        new = rig.put(topics.LABELS, *labels[:20], again[0], *labels[20:40], again[1], labels[40])
        (request,) = [one for at in range(0, len(new), batch) for one in await rig.feed(new[at : at + batch])]
        rows = pq.read_table(Path(request.snapshot_uri) / "rows.parquet").to_pylist()
        found.append((request.snapshot_sha256, {row["record_id"]: row["label"] for row in rows}))
        assert request.labels_offset == 81
        await rig.stage.close()

    assert found[0] == found[1]
    assert (found[0][1]["record-3"], found[0][1]["record-4"]) == ("other", "mergers")


async def test_vote__is_not_a_new_label(rig: Rig) -> None:
    """Votes are kept but bring no retrain nearer."""
    votes = [label(n, "other", record_id=f"vote-{n}", kind=LabelKind.VOTE) for n in range(60)]

    assert await rig.feed(rig.put(topics.LABELS, *votes)) == []
    assert len(await rig.labels(0, 40)) == 1


async def test_erasure__deletes_the_row(rig: Rig) -> None:
    """An erased record is in no later snapshot, nor after a rebuild."""
    await rig.labels(0, 20)
    await rig.feed(rig.put(topics.LABELS, label(3, "", text="", kind=LabelKind.ERASURE)))
    await rig.restarted(lose_state=True)
    (request,) = await rig.labels(21, 20)

    rows = pq.read_table(Path(request.snapshot_uri) / "rows.parquet").column("record_id").to_pylist()
    assert "record-3" not in rows
    assert len(rows) == 39


async def test_erasure__behind_the_label_that_is_due(tmp_path: Path) -> None:
    """An erasure in the same batch as the due label, but behind it, changes nothing: as if batches had been smaller."""
    found = []
    for batch in (1_000, 7):
        rig = Rig(tmp_path / str(batch))
        erasure = label(3, "", text="", kind=LabelKind.ERASURE)
        new = rig.put(topics.LABELS, *(said(number) for number in range(40)), erasure)
        requests = [one for at in range(0, len(new), batch) for one in await rig.feed(new[at : at + batch])]
        found += [request.snapshot_sha256 for request in requests]
        await rig.stage.tick(START)
        assert rig.stage._store.counts(PARTITION).total() == 39
        await rig.stage.close()

    assert len(found) == 2
    assert len(set(found)) == 1


async def test_copy__is_given_in_a_tick(rig: Rig) -> None:
    """Whoever asks for the window's rows gets them as a Parquet file at the next tick."""
    await rig.labels(0, 20)
    asked = rig.folder / "state" / "window" / "one.asked"
    asked.touch()
    await rig.stage.tick(START)

    assert pq.read_table(asked.with_suffix(".parquet")).num_rows == 20
    assert not asked.exists()


async def test_age__last_request_too_old(tmp_path: Path) -> None:
    """The age trigger asks in a tick, once, for what came since."""
    rig = Rig(tmp_path, triggers=TRIGGERS | {"age_hours": 1.0})
    await rig.labels(0, 20)
    assert await rig.stage.tick(START + timedelta(minutes=59)) == {}

    settlement = (await rig.stage.tick(START + timedelta(minutes=61)))[PARTITION]
    settlement.committed()
    (request,) = requests_of(settlement)
    assert (request.trigger, request.epoch, request.labels_offset) == ("age", 1, 2 * 19 + 1)
    assert await rig.stage.tick(START + timedelta(hours=9)) == {}


async def test_cooldown__holds_a_crossing_back(tmp_path: Path) -> None:
    """A crossing in the cooldown waits for its end."""
    rig = Rig(tmp_path, triggers=TRIGGERS | {"cooldown_hours": 1.0})
    await rig.labels(0, 40)
    await rig.run_ends(1)
    assert await rig.labels(40, 50) == []
    assert await rig.stage.tick(START + timedelta(minutes=30)) == {}

    assert len(requests_of((await rig.stage.tick(START + timedelta(hours=2)))[PARTITION])) == 1


async def test_champion__is_named_in_the_job(rig: Rig) -> None:
    """The job names the student in production; the teacher in production is none."""
    served = ServedModel(version="v1", uri="/adapters/v1", manifest_sha256="ab", base_model="b", labels=list(LABELS))
    state = ModelState(workload=NAME, epoch=1, sequence=1, time=START, champion=served)
    await rig.feed(rig.put(topics.MODEL_STATE, state))
    await rig.restarted()
    (request,) = await rig.labels(0, 40)

    champion = JobSpec.from_json(request.job).champion
    assert champion is not None
    assert (champion.version, champion.uri, champion.manifest_sha256) == ("v1", "/adapters/v1", "ab")


async def test_label__that_cannot_be_read(rig: Rig) -> None:
    """Bytes that are no label are a dead letter; the others count."""
    new = rig.put(topics.LABELS, b"junk", *(said(number) for number in range(40)))
    settlement = await rig.stage.process(new)

    assert isinstance(settlement.outputs[0].record, DeadLetter)
    assert len(requests_of(settlement)) == 1
