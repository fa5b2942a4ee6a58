"""The dispatcher's promises on a real broker: one end and at most one event for each run, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import aiokafka, group_name, topic_name
from schemas import topics as catalogue
from schemas.codec import decode, encode
from schemas.events import RetrainRequest, RunState, TrainingRun
from schemas.ids import run_id
from schemas.job import JobSpec
from schemas.promotion import ModelPromotion
from schemas.records import DiscardedRecord, DiscardReason, LabelKind, LabelRecord, Origin, Record
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, Topic
from tests.schemas.golden_form import golden
from tests.schemas.rules.statistics.test_ceiling import FOUND as CEILING

pytestmark = pytest.mark.broker

MakeJob = Callable[..., JobSpec]
R = TypeVar("R", bound=Record)
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
DEADLINE_SECONDS = 150.0


def request_for(job: JobSpec) -> RetrainRequest:
    """Return the retrain request of a job."""
    return RetrainRequest(
        request_id=job.request_id, workload=job.workload, epoch=job.epoch, trigger="count", verdicts=[],
        labels_partition=0, labels_offset=10, snapshot_id="s", snapshot_uri=job.snapshot_uri,
        snapshot_sha256=job.snapshot_sha256, rows=1, job=job.to_json(), time=datetime.now(UTC),
    )  # fmt: skip


async def write(settings: Settings, topic: Topic, *records: Any) -> None:
    """Write records of a workload as their writers would."""
    async with AIOKafkaProducer(**aiokafka(settings)) as producer:
        for record in records:
            await producer.send_and_wait(
                topic_name(settings, topic), encode(record), key=record.workload.encode(),
                partition=partition_of(record.workload, PARTITIONS),
            )  # fmt: skip


async def ask(settings: Settings, *requests: RetrainRequest) -> None:
    """Write retrain requests as the window stage would."""
    await write(settings, catalogue.RETRAIN_REQUESTS, *requests)


async def read(settings: Settings, topic: Topic) -> list[ConsumerRecord[bytes, bytes]]:
    """Return everything that is committed on a topic."""
    async with AIOKafkaConsumer(**aiokafka(settings), isolation_level="read_committed") as consumer:
        parts = [TopicPartition(topic_name(settings, topic), number) for number in range(PARTITIONS)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        found: list[ConsumerRecord[bytes, bytes]] = []
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += batch
        return found


async def values(settings: Settings, topic: Topic, record: type[R]) -> list[R]:
    """Return the decoded values of a topic."""
    return [decode(record, message.value or b"") for message in await read(settings, topic)]


async def runs(settings: Settings) -> list[TrainingRun]:
    """Return what is on training-runs."""
    return await values(settings, catalogue.TRAINING_RUNS, TrainingRun)


async def until_ended(settings: Settings, count: int = 1) -> list[TrainingRun]:
    """Wait until so many runs have ended; return all states."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = await runs(settings)
        if sum(one.state in ENDED for one in found) >= count:
            return found
        await asyncio.sleep(0.3)
    raise AssertionError(f"not ended: {[(one.state, one.message) for one in await runs(settings)]}")


async def until(what: Callable[[], Any]) -> Any:
    """Wait until a condition holds and return what it gave."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := what():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("the condition never held")


@contextmanager
def dispatcher(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program; what it started is stopped with the test."""
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "MILLRACE_TOPIC_PREFIX": settings.topic_prefix,
        "MILLRACE_STATE_DIR": str(settings.state_dir), "MILLRACE_ARTEFACTS_DIR": str(settings.artefacts_dir),
        "MILLRACE_METRICS_PORT": "0", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "-m", "trainers"], env=environment, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def stop_recipes(topics: Settings) -> Iterator[None]:
    """Stop recipes that a test left behind."""
    yield
    for file in topics.state_dir.glob("dispatcher/runs/*/process.json"):
        pid = json.loads(file.read_text()).get("pid")
        if pid and psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def recipe_pid(settings: Settings, job: JobSpec, attempt: int = 1) -> int | None:
    """Return the number of the run's process once it trains."""
    folder = settings.state_dir / "dispatcher" / "runs" / run_id(job.request_id, job.to_json())
    try:
        process = json.loads((folder / "process.json").read_text())
        trains = "snapshot" in (folder / "progress.jsonl").read_text()
    except OSError:
        return None
    return process.get("pid") if process["attempt"] == attempt and trains else None


@pytest.mark.usefixtures("stop_recipes")
async def test_dispatcher__request_becomes_one_run_and_one_described_event(
    topics: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    """A request sent twice runs once; its event carries CloudEvents headers and its own schema; its offset is kept."""
    job = make_job()
    copies = [
        DiscardedRecord(
            record_id=f"copy-{number}", workload=workload, origin=Origin(topic="traffic", partition=0, offset=number),
            event_time=datetime.now(UTC), reason=DiscardReason.NEAR_DUPLICATE, duplicate_of="first", cluster_id="first",
        )
        for number, workload in enumerate(("news", "news", "other"))
    ]  # fmt: skip
    await write(topics, catalogue.DISCARDED, *copies)
    vote = replace(golden(LabelRecord), workload="news", kind=LabelKind.VOTE, cluster_id="first")
    await write(topics, catalogue.LABELS, vote, replace(vote, kind=LabelKind.LABEL))
    await ask(topics, request_for(job), request_for(job))

    with dispatcher(topics, tmp_path / "log"):
        states = await until_ended(topics)
        await ask(topics, request_for(job))
        marker = replace(make_job(workload="other", epoch=1), labels=["a"])
        await ask(topics, replace(request_for(marker), job="no job"))
        states = await until_ended(topics, 2)

    events = await read(topics, catalogue.MODEL_PROMOTION)
    headers = {name: value.decode() for name, value in events[0].headers}
    event = decode(ModelPromotion, events[0].value or b"")
    # Two workloads stand on two partitions: in which order a reader meets their runs is open.
    run = [one for one in states if one.workload == "news"]
    assert [one.state for one in run if one.state is not RunState.PROGRESS] == [
        RunState.QUEUED, RunState.STARTED, RunState.SUCCEEDED,
    ]  # fmt: skip
    assert len(events) == 1
    folder = topics.state_dir / "dispatcher" / "runs" / run_id(job.request_id, job.to_json())
    assert json.loads((folder / "duplicates.json").read_text()) == {"first": 3}
    assert (headers["ce_id"], headers["ce_subject"], headers["content-type"]) == (
        event.event_id, "news", "application/avro",
    )  # fmt: skip
    assert json.loads(headers["avro.schema"])["name"] == "ModelPromotion"
    assert (event.sequence, event.model_line, event.causation_id) == (1, "news", run[0].run_id)
    async with AIOKafkaConsumer(**aiokafka(topics), group_id=group_name(topics, "dispatcher")) as consumer:
        part = TopicPartition(topic_name(topics, catalogue.RETRAIN_REQUESTS), partition_of("news", PARTITIONS))
        assert await consumer.committed(part) >= 2


@pytest.mark.usefixtures("stop_recipes")
@pytest.mark.faults
async def test_dispatcher__killed_recipe_and_killed_dispatcher_still_give_one_end_and_one_event(
    topics: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    """SIGKILL of the recipe starts it again; SIGKILL of the dispatcher leaves it running and it is adopted."""
    job = make_job()
    await ask(topics, request_for(job))

    with dispatcher(topics, tmp_path / "log") as first:
        os.kill(await until(lambda: recipe_pid(topics, job)), signal.SIGKILL)
        survivor = await until(lambda: recipe_pid(topics, job, attempt=2))
        first.kill()
        first.wait()
    assert psutil.pid_exists(survivor)
    with dispatcher(topics, tmp_path / "log"):
        states = await until_ended(topics)

    assert [one.state for one in states if one.state is not RunState.PROGRESS] == [
        RunState.QUEUED, RunState.STARTED, RunState.STARTED, RunState.SUCCEEDED,
    ]  # fmt: skip
    assert states[-1].attempt == 2
    assert len(await read(topics, catalogue.MODEL_PROMOTION)) == 1


@pytest.mark.usefixtures("stop_recipes")
async def test_dispatcher__missing_base_model_fails_the_run_at_once_with_its_message(
    topics: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    """What can never succeed is tried once; the run says what is missing and no event is published."""
    job = make_job(count=60)
    job = replace(job, student=replace(job.student, base_model=str(tmp_path / "nowhere")))
    await ask(topics, request_for(job))

    with dispatcher(topics, tmp_path / "log"):
        end = (await until_ended(topics))[-1]

    assert (end.state, end.attempt) == (RunState.FAILED, 1)
    assert "nowhere" in end.message
    assert not await read(topics, catalogue.MODEL_PROMOTION)


async def test_dispatcher__a_floor_above_the_teachers_ceiling_is_refused_before_anything_is_trained(
    topics: Settings, make_job: MakeJob, tmp_path: Path
) -> None:
    """A run that no student can pass fails at once and says which field to change; the last measurement counts."""
    await write(topics, catalogue.CEILINGS, replace(CEILING, ceiling=0.6), CEILING)
    job = make_job(count=60)
    await ask(topics, request_for(replace(job, gate=replace(job.gate, agreement_floor=0.95))))

    with dispatcher(topics, tmp_path / "log"):
        states = await until_ended(topics)

    assert [one.state for one in states] == [RunState.QUEUED, RunState.FAILED]
    assert "news: gate.agreement_floor = 0.95: no student can agree" in states[-1].message
    assert "more often than 0.930" in states[-1].message
