"""Batches without their waits, for tests: hours become hundredths of a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streams.label import works
from streams.label.teacher.batches import batches, gathering
from streams.label.teacher.batches.client import BatchTeacher
from streams.label.teacher.client import TeacherClient
from tests.streams.doubles import workload
from tests.streams.label.teacher.server import Server

BATCH: dict[str, Any] = {"after_hours": 24.0}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and send at once."""
    monkeypatch.setattr(batches, "FIRST_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(batches, "LONGEST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(batches, "BUDGET_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(gathering, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(works, "BATCH_SECONDS", 0.05)


@asynccontextmanager
async def batch_teacher(server: Server, **teacher: Any) -> AsyncIterator[tuple[BatchTeacher, TeacherClient]]:
    """Return the ways to a server's teacher: in batches, and call by call."""
    table = {"url": server.url, "attempts": 3, "timeout_seconds": 2.0, "batch": BATCH} | teacher
    one = workload(teacher=table)
    live = TeacherClient(one, ["127.0.0.1"])
    batched = BatchTeacher(one, live)
    try:
        yield batched, live
    finally:
        await batched.batches.close()
        await live.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for signals nothing
            await asyncio.sleep(0.005)
