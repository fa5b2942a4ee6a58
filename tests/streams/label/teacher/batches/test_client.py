"""One contract, two ways to the teacher: call by call and in batches, against a real HTTP server that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from aiohttp import web

from schemas.errors import DeadLetterReason, RecordRejected, SettingsError
from streams.label.prompting.prompt import coded_prompt
from streams.label.teacher.client import Asks, Refused
from tests.streams.doubles import workload
from tests.streams.label.teacher.batches.quick import batch_teacher, quick, until
from tests.streams.label.teacher.server import Act, Call, Server, body, completion, never, says, status, teacher_server

__all__ = ["quick"]

pytestmark = pytest.mark.usefixtures("quick")
NEWS = workload()
PROMPT = coded_prompt(NEWS, "Acme reports", "record-1")
Way = Literal["live", "batch"]
both = pytest.mark.parametrize("way", ["live", "batch"])


@asynccontextmanager
async def asking(way: Way, *acts: Act, **teacher: Any) -> AsyncIterator[tuple[Asks, Server]]:
    async with teacher_server(*acts) as server, batch_teacher(server, **teacher) as (batches, live):
        yield live if way == "live" else batches.of("record-1"), server


@both
async def test_ask__teacher_answers(way: Way) -> None:
    """The answer carries its text, model, alternatives of the first token and cost."""
    async with asking(way, says("mergers", 0.9)) as (teacher, server):
        answer = await teacher.ask(PROMPT)

    code = next(code for code, label in PROMPT.choices.items() if label == "mergers")
    assert (answer.text, answer.model, answer.calls, answer.prompt_tokens) == (code, "teacher-7b", 1, 40)
    assert answer.top[0][0] == code
    assert len(answer.top) == 3
    assert server.calls[0].body["structured_outputs"] == {"choice": list(PROMPT.choices)}
    assert (server.batch.sizes() == [1]) == (way == "batch") == teacher.batched


@both
@pytest.mark.parametrize("first", [status(500), status(429), body({})])
async def test_ask__asked_again(way: Way, first: Act) -> None:
    """What another try may answer gets one, and each try is a call."""
    async with asking(way, first, says("other")) as (teacher, server):
        answer = await teacher.ask(PROMPT)

    assert (answer.calls, len(server.calls)) == (2, 2)


@both
async def test_ask__not_a_number_as_log_probability(way: Way) -> None:
    """NaN does not break the answer."""
    async with asking(way, body(completion("A", {"A": 0.0, "B": 0.1}))) as (teacher, _):
        answer = await teacher.ask(PROMPT)

    assert answer.text == "A"


@both
@pytest.mark.parametrize("code", [400, 422])
async def test_ask__refused(way: Way, code: int) -> None:
    """Another 4xx refuses this one question, at once."""
    async with asking(way, status(code, "context too long")) as (teacher, server):
        with pytest.raises(RecordRejected) as refused:
            await teacher.ask(PROMPT)

    assert refused.value.reason is DeadLetterReason.TEACHER_REFUSED
    assert len(server.calls) == 1


@both
@pytest.mark.parametrize(("code", "says"), [(401, "wants a key"), (403, "wants a key"), (404, "check the model")])
async def test_ask__wrong_set_up(way: Way, code: int, says: str) -> None:
    """A wrong key or model is reported with its remedy, and no record is at fault."""
    async with asking(way, status(code)) as (teacher, _):
        with pytest.raises(SettingsError, match=says):
            await teacher.ask(PROMPT)


@both
async def test_ask__parameters_the_endpoint_does_not_know(way: Way) -> None:
    """It is asked without them from then on."""
    acts = status(400, "unknown field: structured_outputs"), status(422, "use max_completion_tokens"), says("other")
    async with asking(way, *acts) as (teacher, server):
        await teacher.ask(PROMPT)
        await teacher.ask(PROMPT, "second_prompt")

    assert ["structured_outputs" in call.body for call in server.calls] == [True, False, False, False]
    assert ["max_tokens" in call.body for call in server.calls] == [True, True, False, False]


@both
async def test_ask__refusal_of_the_model(way: Way) -> None:
    """A refusal is an answer that says so."""
    async with asking(way, body({"choices": [{"message": {"content": None, "refusal": "no"}}]})) as (teacher, _):
        assert (await teacher.ask(PROMPT)).refused


@both
async def test_ask__key_is_sent(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key comes from the environment variable that the workload names, on every route."""
    monkeypatch.setenv("MILLRACE_TEST_KEY", "right")
    async with asking(way, says("other"), api_key_env="MILLRACE_TEST_KEY") as (teacher, server):
        await teacher.ask(PROMPT)

    assert server.calls[0].authorization == "Bearer right"


async def test_ask__batch_that_expires() -> None:
    """What its batch left unanswered is asked for again in the next, as a retry."""
    async with asking("batch", never(), never(), says("mergers")) as (teacher, server):
        answer = await teacher.ask(PROMPT)

    assert (answer.calls, server.batch.sizes()) == (3, [1, 1, 1])
    assert len(set(server.batch.ids())) == 3


async def test_ask__record_on_which_batches_fail() -> None:
    """A record that fails while others are answered is at fault: it is refused after its attempts, no sooner."""

    def act(call: Call) -> web.StreamResponse:
        if call.text == "poison":
            return web.Response(status=500)
        answer = says("other")(call)
        assert isinstance(answer, web.StreamResponse)
        return answer

    async with teacher_server(act) as server, batch_teacher(server, attempts=2) as (batches, _):
        asked = [batches.of(f"record-{n}").ask(coded_prompt(NEWS, f"text {n}", f"record-{n}")) for n in range(9)]
        poison = batches.of("record-9").ask(coded_prompt(NEWS, "poison", "record-9"))
        *answers, refused = await asyncio.gather(*asked, poison, return_exceptions=True)

    assert isinstance(refused, Refused)
    assert (refused.reason, refused.calls) == (DeadLetterReason.TEACHER_REFUSED, 2)
    assert len(answers) == 9
    assert server.batch.sizes() == [10, 1]


async def test_ask__endpoint_that_fails_on_everything() -> None:
    """An endpoint that answers nobody refuses no record: it is asked until it answers, with pauses between."""
    async with asking("batch", *[status(500)] * 8, says("other"), attempts=1) as (teacher, server):
        answer = await teacher.ask(PROMPT)

    assert (answer.calls, len(server.batch.sizes())) == (9, 9)


async def test_ask__line_that_is_no_json() -> None:
    """A line of the answers that cannot be read is as good as missing."""
    async with asking("batch", says("mergers")) as (teacher, server):
        server.batch.open = False
        asked = asyncio.create_task(teacher.ask(PROMPT))
        await until(lambda: bool(server.batch.batches))
        server.batch.files["cut"] = b'{"custom_id": "half'
        server.batch.batches["batch-0"] |= {"status": "completed", "output_file_id": "cut"}
        server.batch.open = True
        answer = await asked

    assert (answer.calls, server.batch.sizes()) == (2, [1, 1])


async def test_ask__bill_is_that_of_batches() -> None:
    """Calls and tokens are booked once, as those of batches."""
    async with teacher_server(never(), says("other")) as server, batch_teacher(server) as (batches, live):
        await batches.of("record-1").ask(PROMPT)

    spent = live.budget.total()
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (2, 40, 1)
    assert (spent.batched_calls, spent.batched_prompt_tokens, spent.batched_completion_tokens) == (2, 40, 1)
    assert live.budget.in_batches == 0
    assert live.is_now("teacher-7b")
