"""A whole rollout on a real broker: router, controller process, teacher and students over HTTP, and the command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.commands.rollout.control import status_of
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, producer, topic_name
from deploy.infra.ports import TRIES, propose
from deploy.serve.router import answer
from deploy.serve.router.process import serve
from deploy.serve.router.settings import RouterSettings
from schemas.codec import decode, encode
from schemas.errors import SettingsError
from schemas.events import RolloutState
from schemas.promotion import Artifact, BaseModel, Decision, ModelPromotion, PromotionDecision, RolloutPlan
from schemas.records import AnsweredBy, TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import MODEL_PROMOTION, PARTITIONS, TRAFFIC
from tests.deploy.serve.router.conftest import (
    LABELS,
    ScriptedTeacher,
    StudentServer,
    adapter,
    listen,
    port_of,
    student_app,
)

pytestmark = pytest.mark.broker

WORKLOAD = """name = "news"
labels = ["up", "down", "flat"]
[teacher]
url = "http://127.0.0.1:{port}/v1"
may_train = true
[rollout]
paired_share = 1.0
agreement_floor = 0.6
"""
PARTITION = partition_of("news", PARTITIONS)


@dataclass
class Town:
    """Everything a rollout needs."""

    settings: RouterSettings
    teacher: ScriptedTeacher
    students: StudentServer
    http: aiohttp.ClientSession
    environment: dict[str, str]
    url: str
    asked: int = 0

    async def chat(self) -> str:
        """Ask about a new text; return the variant that answered."""
        self.asked += 1
        body = {"model": "news", "messages": [{"role": "user", "content": f"ACME report number {self.asked}"}]}
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as response:
            assert response.status == 200
            await response.read()
            return response.headers[answer.VARIANT]

    async def line(self) -> dict[str, Any]:
        """Return the line as the router serves it."""
        async with self.http.get(f"http://127.0.0.1:{self.settings.admin_port}/rollouts") as response:
            return dict((await response.json())["lines"]["news"])

    async def ask_until(self, state: RolloutState, seconds: float = 60.0) -> None:
        """Send traffic until the router serves a state."""
        async with asyncio.timeout(seconds):
            while (await self.line())["state"] != state.value:
                await asyncio.gather(*(self.chat() for _ in range(4)))
                await asyncio.sleep(0.1)

    def controller(self) -> subprocess.Popen[bytes]:
        """Start a worker with the controller's stage."""
        command = [sys.executable, "-m", "streams", "--stages", "rollout"]
        with (self.settings.state_dir / "worker.log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run `rollout ...`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.commands.rollout", *arguments, env=self.environment | {"COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()


@pytest.fixture
async def town(topics: Settings) -> AsyncIterator[Town]:
    """A running router on the broker; the controller is started by the test."""
    teacher, students = ScriptedTeacher(), StudentServer(label="up")
    topics.state_dir.mkdir(parents=True)
    topics.workloads_dir.mkdir(parents=True)
    async with contextlib.AsyncExitStack() as stack:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", teacher.chat)])
        ports = []
        for server in (app, student_app(students)):
            runner = await listen(server)
            stack.push_async_callback(runner.cleanup)
            ports.append(port_of(runner))
        (topics.workloads_dir / "news.toml").write_text(WORKLOAD.format(port=ports[0]))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stop = asyncio.Event()
        settings, serving = await routing(topics, f"http://127.0.0.1:{ports[1]}", http, stop)
        environment = os.environ | {
            "MILLRACE_BOOTSTRAP_SERVERS": topics.bootstrap_servers, "MILLRACE_TOPIC_PREFIX": topics.topic_prefix,
            "MILLRACE_WORKLOADS_DIR": str(topics.workloads_dir), "MILLRACE_STATE_DIR": str(topics.state_dir),
            "MILLRACE_SESSION_TIMEOUT_SECONDS": "6",
            "MILLRACE_ROUTER_ADMIN_URLS": f'["http://127.0.0.1:{settings.admin_port}"]',
        }  # fmt: skip
        yield Town(settings, teacher, students, http, environment, f"http://127.0.0.1:{settings.router_port}")
        stop.set()
        await asyncio.wait_for(serving, 30)


async def routing(
    topics: Settings, students_url: str, http: aiohttp.ClientSession, stop: asyncio.Event
) -> tuple[RouterSettings, asyncio.Task[None]]:
    """Run a router, on other ports while one is in use; return it once it answers."""
    for number in range(1, TRIES + 1):
        public, admin = propose(2)
        settings = RouterSettings(
            **topics.model_dump(), student_urls=[students_url], router_port=public, admin_port=admin
        )
        serving = asyncio.create_task(serve(settings, settings.workloads(), stop))
        try:
            await answering(f"http://127.0.0.1:{admin}/rollouts", http, serving)
        except SettingsError as error:
            if "already in use" not in str(error) or number == TRIES:
                raise
        else:
            return settings, serving
    raise AssertionError("the last try returns or raises")


async def answering(url: str, http: aiohttp.ClientSession, serving: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        while True:
            if serving.done():
                serving.result()
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url):
                    return
            await asyncio.sleep(0.05)


def nominate(settings: RouterSettings, number: int = 1) -> None:
    """Publish a nomination as the dispatcher does."""
    student = adapter(settings.artefacts_dir, f"news-{number}")
    now = datetime.now(UTC)
    event = ModelPromotion(
        event_id=f"event-{number}", event_time=now, recorded_time=now, sequence=number, model_line="news",
        model_id="news", model_version=student.version, labels=LABELS, base_model=BaseModel(id="base"),
        decision=Decision(
            outcome=PromotionDecision.PROMOTE,
            plan=RolloutPlan(shadow_requests=20, steps_percent=[50, 100], assigned_per_step=10),
        ),
        artifact=Artifact(adapter_uri=student.uri, files=[], manifest_sha256=student.manifest_sha256),
    )  # fmt: skip
    client = Producer(producer(settings))
    client.produce(topic_name(settings, MODEL_PROMOTION), encode(event), b"news", PARTITION)
    assert client.flush(20) == 0


def captured(settings: RouterSettings, count: int) -> list[TrafficRecord]:
    """Return that many records of traffic."""
    consumer = Consumer(librdkafka(settings, group_id="none", enable_auto_commit=False))
    consumer.assign([TopicPartition(topic_name(settings, TRAFFIC), PARTITION, 0)])
    messages = consumer.consume(count, 20)
    consumer.close()
    return [decode(TrafficRecord, message.value() or b"") for message in messages]


@pytest.mark.faults
async def test_rollout__controller_killed_on_the_way(town: Town) -> None:
    """From nomination to promotion on a real broker, with the controller killed in shadow and in the canary."""
    worker = town.controller()
    try:
        nominate(town.settings)
        await town.ask_until(RolloutState.SHADOW)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert {await town.chat() for _ in range(5)} == {"champion"}
        worker = town.controller()
        await town.ask_until(RolloutState.CANARY)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker = town.controller()
        await town.ask_until(RolloutState.PROMOTED)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    state, statuses = status_of(town.settings, "news")
    code, table = await town.command("status", "news")
    records = await asyncio.to_thread(captured, town.settings, town.asked)

    assert state is not None
    assert state.champion is not None
    assert [status.state.value for status in statuses] == ["SHADOW", "CANARY", "CANARY", "PROMOTING", "PROMOTED"]
    assert code == 0
    assert "promoted (proven)" in table
    assert len(records) == town.asked
    assert {record.answered_by for record in records} <= {AnsweredBy.TEACHER, AnsweredBy.STUDENT}


async def test_abort__by_command(town: Town) -> None:
    """`rollout abort` takes the challenger out at the router at once, and the controller closes the rollout."""
    worker = town.controller()
    try:
        nominate(town.settings)
        await town.ask_until(RolloutState.CANARY)
        code, said = await town.command("abort", "news", "--why", "testing")
        served = {await town.chat() for _ in range(20)}
        await town.ask_until(RolloutState.ROLLED_BACK)
        again, _ = await town.command("hold", "news")
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    _, statuses = status_of(town.settings, "news")

    assert (code, served) == (0, {"champion"}), said
    assert statuses[-1].text == "hold does not fit: news is rolled back"
    assert again == 1


async def test_abort__router_that_does_not_answer(town: Town, tmp_path: Path) -> None:
    """Abort exits non-zero and names the router that did not acknowledge, with Kafka unreachable too."""
    town.environment["MILLRACE_ROUTER_ADMIN_URLS"] = '["http://127.0.0.1:1"]'
    town.environment["MILLRACE_BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    code, said = await town.command("abort", "news")

    assert code == 1
    assert "http://127.0.0.1:1: NOT aborted" in said
    assert "controller: NOT reached" in said
