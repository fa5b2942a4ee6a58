"""The label stage and its calls: a teacher that is away, the window that slides, partitions that move."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from schemas import topics
from schemas.errors import SettingsError
from streams.core.stage import Output, Settlement
from streams.label.teacher import circuit
from tests.streams.doubles import PARTITION, curated, message
from tests.streams.label.staged import labels_of, process, stage
from tests.streams.label.teacher.server import Call, says, status


async def test_teacher__down_then_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was answered before an outage is settled; the rest waits, its partition held, and is not a dead letter."""
    monkeypatch.setattr(circuit, "FIRST_SECONDS", 0.05)
    down = [status(500)] * 5
    async with stage(says("mergers"), *down, says("other"), teacher={"concurrency": 1, "attempts": 2}) as (one, s):
        left = [message(topics.CURATED, n, curated(n)) for n in range(3)]
        settled: list[Output] = []
        held: set[int] = set()
        while left:
            settlement = await one.process(left)
            settlement.committed()
            held |= settlement.held
            settled += settlement.outputs
            left = list(settlement.left)

    assert [record.label for record in labels_of(Settlement(settled))] == ["mergers", "other", "other"]
    assert held == {PARTITION}
    assert len(s.calls) == 8


async def test_window__settles_the_finished_prefix_while_a_call_goes_on() -> None:
    """A slow call holds back what follows it in its partition, and nothing else; new records join the calls."""
    freed = asyncio.Event()

    async def slow(call: Call) -> web.StreamResponse:
        await freed.wait()
        answer = says("mergers")(call)
        assert isinstance(answer, web.StreamResponse)
        return answer

    async with stage(says("mergers"), slow, says("other"), teacher={"concurrency": 3}) as (one, server):
        first = message(topics.CURATED, 0, curated(0))
        settled = await one.process([first])
        waits, behind = (message(topics.CURATED, n, curated(n)) for n in (1, 2))
        stuck = await one.process([waits, behind])
        joined = message(topics.CURATED, 3, curated(3))
        more = await one.process([*stuck.left, joined])
        asked = len(server.calls)
        freed.set()
        rest = await one.process(list(more.left))

    assert (len(settled.outputs), settled.left) == (1, [])
    assert (stuck.outputs, stuck.left, stuck.held) == ([], [waits, behind], set())
    assert (more.outputs, more.left, asked) == ([], [waits, behind, joined], 4)
    assert [output.record.origin.offset for output in rest.outputs] == [1, 2, 3]  # type: ignore[attr-defined]
    assert len(server.calls) == 4


async def test_partition__that_goes_elsewhere() -> None:
    """Its calls are cancelled and its answers forgotten: another worker asks for them."""
    freed = asyncio.Event()

    async def slow(call: Call) -> web.StreamResponse:
        await freed.wait()
        return web.Response(status=400)

    async with stage(slow, says("other")) as (one, server):
        message_0 = message(topics.CURATED, 0, curated(0))
        settlement = await one.process([message_0])
        one.revoke(PARTITION)
        again = await one.process([message_0])
        freed.set()

    assert settlement.left == [message_0]
    assert [record.label for record in labels_of(again)] == ["other"]
    assert len(server.calls) == 2


async def test_batch__aborted_and_fed_again() -> None:
    """A batch that comes again after an abort is not billed again, and says the same."""
    async with stage() as (one, server):
        messages = [message(topics.CURATED, n, curated(n)) for n in range(5)]
        first = await one.process(messages)
        first.aborted()
        second = await one.process(messages)

    assert labels_of(first) == labels_of(second)
    assert len(server.calls) == 5


async def test_batch__wrong_key() -> None:
    """A wrong key ends the worker with the remedy: no record becomes a dead letter for it."""
    async with stage(status(401)) as (one, _):
        with pytest.raises(SettingsError, match="name the environment variable"):
            await process(one, *(curated(n) for n in range(3)))
