"""A worker killed in mid-labelling: what the endpoint counted beside what the ledger says."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from aiohttp import web

from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from deploy.trial.simulate.newswire import FREQUENCIES
from tests.faults.conftest import Note
from tests.faults.deaths import await_death, doomed
from tests.faults.traffic import WORKLOADS, Traffic, write_workloads
from tests.faults.workers import ROOT, Worker, ending, until
from tests.streams.label.teacher.server import Call, Server, says, teacher_server

pytestmark = [pytest.mark.broker, pytest.mark.faults]

CONCURRENCY = 8  # of each workload
RECORDS = 20 * len(WORKLOADS)


class Teacher:
    """An endpoint in a thread of its own: it answers so many calls at once, and holds the others until released."""

    def __init__(self, answered_at_once: int) -> None:
        self.server = Server()
        self.held = 0
        self._left = answered_at_once
        self._up = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(30)

    def go_on(self) -> None:
        """Answer every call from now on."""
        self._loop.call_soon_threadsafe(self._go_on.set)

    def end(self) -> None:
        self.go_on()
        self._loop.call_soon_threadsafe(self._down.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._go_on, self._down = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        async with teacher_server(self._act) as self.server:
            self._up.set()
            await self._down.wait()

    async def _act(self, call: Call) -> web.StreamResponse:
        self._left -= 1
        if self._left < 0 and not self._go_on.is_set():
            self.held += 1
            await self._go_on.wait()
        answer = says(next(iter(FREQUENCIES)))(call)
        assert isinstance(answer, web.StreamResponse)
        return answer


@contextmanager
def teaching(topics: Settings, answered_at_once: int, batch: Mapping[str, float] | None = None) -> Iterator[Teacher]:
    """Serve a teacher, with a workload file for each name that knows it; `batch`: how it is asked in batches."""
    teacher = Teacher(answered_at_once)
    try:
        section = {"url": teacher.server.url, "concurrency": CONCURRENCY}
        write_workloads(
            topics.workloads_dir, {"teacher": section, "teacher.batch": batch or {}, "harvest": {"models": []}}
        )
        yield teacher
    finally:
        teacher.end()


def spend(topics: Settings) -> dict[str, Any]:
    """Return the ledger by workload, by `millrace labels spend` as a person runs it."""
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": topics.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": topics.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(topics.workloads_dir),
    }
    command = [sys.executable, "-m", "deploy.commands.labels", "spend", "--json"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def settled(topics: Settings, worker: Worker) -> None:
    """Wait until every record has ended."""
    until(lambda: not any(each.in_flight for each in verify(topics)), 60, "the rest is settled", worker)


def calls(books: dict[str, Any]) -> int:
    return sum(each["calls"] for each in books.values())


def test_ledger__worker_killed_with_calls_under_way(topics: Settings, note: Note) -> None:
    """The endpoint counts at most the calls in flight more than the ledger, which balances."""
    with teaching(topics, answered_at_once=30) as teacher:
        Traffic(topics, answers=0.0, duplicates=0.0, near_duplicates=0.0).send(RECORDS)
        worker = Worker(topics, 0, "curate,label")
        with ending(worker):
            until(lambda: teacher.held >= 4, 60, "calls are held", worker)
            worker.kill()
            asked, held = len(teacher.server.calls), teacher.held
            before = calls(spend(topics))
            teacher.go_on()
            worker.restart()
            settled(topics, worker)
        books = spend(topics)
    counted = len(teacher.server.calls)
    note(f"killed after {asked} calls, {held} of them under way, {before} in the ledger; in the end the endpoint "
         f"counted {counted} calls, the ledger {calls(books)}")  # fmt: skip

    assert 0 < before < asked
    assert 0 <= counted - calls(books) <= asked - before <= CONCURRENCY * len(WORKLOADS)
    assert all(each["residual"] == 0 for each in books.values())
    assert sum(each["labels"] for each in books.values()) > 0.9 * RECORDS


def test_ledger__worker_killed_with_batches_open(topics: Settings, note: Note) -> None:
    """What is in a batch is not asked for again: the endpoint counts exactly what the ledger does."""
    with teaching(topics, answered_at_once=10_000, batch={"after_hours": 1.0}) as teacher:
        batch = teacher.server.batch
        batch.open = False
        Traffic(topics, answers=0.0, duplicates=0.0, near_duplicates=0.0).send(RECORDS)
        worker = Worker(topics, 0, "curate,label")
        with ending(worker):
            until(lambda: sum(batch.sizes()) > 0.9 * RECORDS, 60, "batches are open", worker)
            worker.kill()
            sent, before = batch.sizes(), calls(spend(topics))
            batch.open = True
            worker.restart()
            settled(topics, worker)
        books = spend(topics)
    counted = len(teacher.server.calls)
    note(f"killed with {sum(sent)} requests in {len(sent)} batches, {before} calls in the ledger; in the end the "
         f"endpoint counted {counted} calls, the ledger {calls(books)}")  # fmt: skip

    assert before == 0
    assert counted == calls(books) == sum(each["batched"] for each in books.values()) == len(set(batch.ids()))
    assert all(each["residual"] == 0 for each in books.values())
    assert sum(each["labels"] for each in books.values()) > 0.9 * RECORDS


def test_ledger__worker_killed_before_a_commit(topics: Settings, note: Note) -> None:
    """Answers that were in hand and not settled are asked for again: they too are calls in flight."""
    with teaching(topics, answered_at_once=10_000) as teacher:
        Traffic(topics, answers=0.0, duplicates=0.0, near_duplicates=0.0).send(RECORDS)
        worker = doomed(topics, "label", "before-commit", 1, "curate,label")
        with ending(worker):
            await_death(worker, note)
            asked, before = len(teacher.server.calls), calls(spend(topics))
            worker.restart()
            settled(topics, worker)
        books = spend(topics)
    counted = len(teacher.server.calls)
    note(f"killed after {asked} calls, {before} in the ledger; in the end the endpoint counted {counted} calls, the "
         f"ledger {calls(books)}")  # fmt: skip

    assert 0 < counted - calls(books) <= asked - before
    assert all(each["residual"] == 0 for each in books.values())
