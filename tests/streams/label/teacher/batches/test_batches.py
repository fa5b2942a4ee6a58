"""Batches against a real HTTP server: nothing is asked twice, and what goes wrong is reported or tried again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from schemas.errors import SettingsError
from streams.label.metrics import BATCHES, IN_BATCHES
from streams.label.prompting.completion import Answer
from streams.label.prompting.prompt import coded_prompt
from streams.label.teacher.batches import batches as module
from streams.label.teacher.batches import gathering
from streams.label.teacher.batches.client import BatchTeacher
from tests.streams.doubles import NAME, workload
from tests.streams.label.teacher.batches.quick import batch_teacher, quick, until
from tests.streams.label.teacher.batches.routes import Trouble
from tests.streams.label.teacher.server import Server, says, teacher_server

__all__ = ["quick"]

pytestmark = pytest.mark.usefixtures("quick")
NEWS = workload()


def ask(batches: BatchTeacher, *numbers: int) -> list[asyncio.Task[Answer]]:
    return [
        asyncio.create_task(batches.of(f"record-{n}").ask(coded_prompt(NEWS, f"text {n}", f"record-{n}")))
        for n in numbers
    ]


def in_place_of(method: str, path: str, *statuses: int, text: str = "") -> Trouble:
    """Answer the first requests to a route with these statuses."""
    left = list(statuses)

    def trouble(request: web.Request) -> web.Response | None:
        if left and request.method == method and request.path.startswith(f"/v1{path}"):
            return web.Response(status=left.pop(0), text=text)
        return None

    return trouble


async def test_batch__holds_what_came_together() -> None:
    """Requests of many records go in one batch, each gets its own answer, and the gauges show both."""
    async with teacher_server(says("mergers")) as server, batch_teacher(server) as (batches, live):
        server.batch.open = False
        asked = ask(batches, *range(20))
        await until(lambda: BATCHES.labels(NAME)._value.get() == 1)
        waiting, booked = IN_BATCHES.labels(NAME)._value.get(), live.budget.in_batches
        server.batch.open = True
        answers = await asyncio.gather(*asked)
        remembered = batches.batches._waiting

    assert (waiting, booked, server.batch.sizes()) == (20, 20, [20])
    codes = [coded_prompt(NEWS, "", f"record-{n}").choices[answer.text] for n, answer in enumerate(answers)]
    assert codes == ["mergers"] * 20
    assert (BATCHES.labels(NAME)._value.get(), IN_BATCHES.labels(NAME)._value.get()) == (0, 0)
    assert (live.budget.in_batches, remembered) == (0, set())


async def test_batch__is_sent_when_full() -> None:
    """No batch holds more than the workload allows; several are open at a time."""
    table = {"batch": {"after_hours": 1.0, "records": 4}}
    async with teacher_server(says("other")) as server, batch_teacher(server, **table) as (batches, _):
        server.batch.open = False
        asked = ask(batches, *range(10))
        await until(lambda: len(server.batch.batches) == 3)
        server.batch.open = True
        await asyncio.gather(*asked)

    assert server.batch.sizes() == [4, 4, 2]


async def kill_and_start_again(server: Server, *, ended: bool) -> list[Answer]:
    table = {"batch": {"after_hours": 1.0, "records": 2}}
    async with batch_teacher(server, **table) as (batches, _):
        server.batch.open = False
        asked = ask(batches, *range(5))
        await until(lambda: len(server.batch.batches) == 3)
        for one in asked:
            one.cancel()
    server.batch.open = True
    if ended:
        async with batch_teacher(server) as (batches, _):
            await asyncio.gather(*ask(batches, 0))  # it settles nothing, and its batch has ended
    async with batch_teacher(server) as (batches, _):
        return await asyncio.gather(*ask(batches, *range(6)))


@pytest.mark.parametrize("ended", [False, True])
async def test_kill__asks_nothing_twice(*, ended: bool) -> None:
    """A worker that starts again takes the answers of batches sent before, open or ended, and asks for the rest."""
    async with teacher_server(says("mergers")) as server:
        answers = await kill_and_start_again(server, ended=ended)

    assert len(answers) == 6
    assert server.batch.sizes() == [2, 2, 1, 1]
    assert len(server.calls) == len(set(server.batch.ids())) == 6


async def test_kill__batches_of_others_are_left_alone() -> None:
    """Only batches of the same workload, prompt and teacher are taken: another prompt asks anew."""
    async with teacher_server(says("mergers")) as server:
        async with batch_teacher(server) as (batches, _):
            await asyncio.gather(*ask(batches, 1))
        async with batch_teacher(server, model="another") as (batches, _):
            await asyncio.gather(*ask(batches, 1))

    assert server.batch.sizes() == [1, 1]


async def test_forget__then_asked_again() -> None:
    """After the partition went and came back the batch that was open is waited for."""
    async with teacher_server(says("mergers")) as server, batch_teacher(server) as (batches, live):
        server.batch.open = False
        asked = ask(batches, 1, 2)
        await until(lambda: bool(server.batch.batches))
        for one in asked:
            one.cancel()
        batches.batches.forget()
        again = ask(batches, 1, 2)
        server.batch.open = True
        await asyncio.gather(*again)

    assert (server.batch.sizes(), live.budget.in_batches) == ([2], 0)


async def test_create__whose_answer_is_lost() -> None:
    """A batch that was made although no answer came is found, and not made again."""
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.after.append(in_place_of("POST", "/batches", 500))
        await asyncio.gather(*ask(batches, 1, 2))

    assert server.batch.sizes() == [2]


async def test_network__down_now_and_then() -> None:
    """Whatever route fails for a while, it is tried again and nothing is lost or asked twice."""
    troubles = [
        in_place_of("GET", "/batches", 503, 500), in_place_of("POST", "/files", 500, 429),
        in_place_of("POST", "/batches", 503), in_place_of("GET", "/batches/batch-0", 500, 502),
        in_place_of("GET", "/files", 504),
    ]  # fmt: skip
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.trouble += troubles
        await asyncio.gather(*ask(batches, 1, 2))

    assert (server.batch.sizes(), len(server.calls)) == ([2], 2)


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "/batches", 404, "has no GET /batches .404.; remove after_hours"),
        ("POST", "/files", 404, "has no POST /files .404.; remove after_hours"),
        ("POST", "/batches", 404, "has no POST /batches .404.; remove after_hours"),
        ("POST", "/files", 401, "teacher.api_key_env"),
        ("POST", "/batches", 400, "teacher.batch = none: the endpoint says 400 to POST /batches"),
        ("GET", "/batches/batch-0", 403, "teacher.api_key_env"),
    ],
)
async def test_endpoint__takes_no_batches(method: str, path: str, code: int, message: str) -> None:
    """Every question hears of it, with field and remedy."""
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.trouble.append(in_place_of(method, path, *[code] * 9, text="no such model"))
        said = await asyncio.gather(*ask(batches, 1, 2), return_exceptions=True)

    assert len(said) == 2
    for error in said:
        with pytest.raises(SettingsError, match=message):
            raise error  # type: ignore[misc]


async def test_batch__that_fails() -> None:
    """A batch that the endpoint does not begin is reported by its code, not its words: they may quote."""
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.fails.append([{"code": "invalid_json_line", "message": "line 1 is no JSON"}])
        with pytest.raises(SettingsError, match=r"teacher.batch = 'batch-0': .*\(invalid_json_line\)") as caught:
            await asyncio.gather(*ask(batches, 1))

    assert "line 1" not in str(caught.value)


async def test_batch__that_found_no_room() -> None:
    """Where the endpoint has as many tokens in line as it takes, the requests wait, and go in smaller batches."""
    limit = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.fails.append(limit)
        await asyncio.gather(*ask(batches, *range(4)))

    assert server.batch.sizes()[:2] == [4, 2]
    assert len(server.calls) == 4


async def test_upload__too_large() -> None:
    """A file that is refused by its size goes in parts."""
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.trouble.append(in_place_of("POST", "/files", 413))
        await asyncio.gather(*ask(batches, *range(6)))

    assert server.batch.sizes()[0] == 3
    assert len(server.calls) == 6


async def test_upload__too_large_while_another_batch_is_open() -> None:
    """It goes in parts at once, whatever else waits."""
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.open = False
        first = ask(batches, 100)
        await until(lambda: len(server.batch.batches) == 1)
        server.batch.trouble.append(in_place_of("POST", "/files", 413))
        rest = ask(batches, *range(6))
        await until(lambda: sum(server.batch.sizes()) == 7)
        server.batch.open = True
        await asyncio.gather(*first, *rest)

    assert server.batch.sizes() == [1, 3, 3]


async def test_batch__that_found_no_room_beside_others() -> None:
    """A batch that only stood in line behind others is sent again as it was."""
    limit = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.open = False
        first = ask(batches, 100)
        await until(lambda: [one["status"] for one in server.batch.batches.values()] == ["in_progress"])
        server.batch.fails.append(limit)
        rest = ask(batches, *range(4))
        await until(lambda: len(server.batch.batches) == 3)
        server.batch.open = True
        await asyncio.gather(*first, *rest)

    assert server.batch.sizes() == [1, 4, 4]
    assert [one["status"] for one in server.batch.batches.values()] == ["completed", "failed", "completed"]


async def test_upload__too_large_for_a_single_request() -> None:
    """It is reported, not tried for ever."""
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        server.batch.trouble.append(in_place_of("POST", "/files", *[413] * 9))
        with pytest.raises(SettingsError, match="no batch is small enough"):
            await asyncio.gather(*ask(batches, 1, 2))


async def test_file__by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is larger than endpoints take."""
    monkeypatch.setattr(gathering, "MOST_BYTES", 2_000)
    async with teacher_server(says("other")) as server, batch_teacher(server) as (batches, _):
        await asyncio.gather(*ask(batches, *range(8)))

    assert all(len(server.batch.files[batch["input_file_id"]]) <= 2_000 for batch in server.batch.batches.values())
    assert sum(server.batch.sizes()) == 8


async def test_budget__batch_takes_what_fits() -> None:
    """A batch holds as many requests as the budget has room for; the rest waits until there is more."""
    limits: dict[str, Any] = {"budget": {"hour": {"calls": 3}}}
    async with teacher_server(says("other")) as server, batch_teacher(server, **limits) as (batches, live):
        server.batch.open = False
        asked = ask(batches, *range(5))
        await until(lambda: bool(server.batch.batches))
        in_flight = live.paused()
        server.batch.open = True
        await asyncio.wait(asked[:3])
        spent = live.paused()

        assert server.batch.sizes() == [3]
        assert in_flight is not None
        assert "is spent (0, the rest kept for 3 requests in batches)" in in_flight
        assert spent is not None
        assert "budget.hour.calls = 3 is spent (3)" in spent
        assert [one.done() for one in asked] == [True] * 3 + [False] * 2


async def test_find__looks_no_further_back_than_a_batch_can_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches older than two days are not read."""
    async with teacher_server(says("other")) as server:
        async with batch_teacher(server) as (batches, _):
            await asyncio.gather(*ask(batches, 1))
        monkeypatch.setattr(module, "KEPT_SECONDS", -10)
        async with batch_teacher(server) as (batches, _):
            await asyncio.gather(*ask(batches, 1))

    assert server.batch.sizes() == [1, 1]
