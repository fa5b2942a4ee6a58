"""The teacher client against a real HTTP server that misbehaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from schemas.errors import DeadLetterReason, RecordRejected, SettingsError
from streams.label.prompting.completion import Answer
from streams.label.prompting.prompt import coded_prompt
from streams.label.teacher import admission
from streams.label.teacher.client import Refused, TeacherClient
from tests.streams.doubles import workload
from tests.streams.label.teacher.server import Act, Call, Server, body, completion, raw, says, status, teacher_server

PROMPT = coded_prompt(workload(), "Acme reports", "record-1")


@asynccontextmanager
async def client(*acts: Act, **teacher: Any) -> AsyncIterator[tuple[TeacherClient, Server]]:
    async with teacher_server(*acts) as server:
        table = {"url": server.url, "attempts": 3, "timeout_seconds": 2.0} | teacher
        one = TeacherClient(workload(teacher=table), ["127.0.0.1"])
        try:
            yield one, server
        finally:
            await one.close()


async def ask(*acts: Act, **teacher: Any) -> tuple[Answer, Server]:
    async with client(*acts, **teacher) as (one, server):
        return await one.ask(PROMPT), server


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for signals nothing
            await asyncio.sleep(0.01)


async def test_ask__teacher_answers() -> None:
    """The answer carries its text, model, alternatives of the first token and cost."""
    answer, server = await ask(says("mergers", 0.9))

    code = next(code for code, label in PROMPT.choices.items() if label == "mergers")
    assert (answer.text, answer.model, answer.calls, answer.prompt_tokens, answer.completion_tokens) == (
        code, "teacher-7b", 1, 40, 1,
    )  # fmt: skip
    assert answer.top[0][0] == code
    assert len(answer.top) == 3
    assert server.calls[0].body["structured_outputs"] == {"choice": list(PROMPT.choices)}
    assert server.calls[0].body["top_logprobs"] == 20


async def test_ask__500_then_answer() -> None:
    """A failure of the server is tried again, and each call is counted."""
    answer, server = await ask(status(500), status(503), says("other"))

    assert (answer.calls, len(server.calls)) == (3, 3)


async def test_ask__500_for_ever() -> None:
    """An endpoint that answers nobody counts as down: it is probed now and then, and no record is refused."""
    async with client(status(500), attempts=1) as (one, server):
        asked = [asyncio.create_task(one.ask(PROMPT)) for _ in range(3)]
        await until(lambda: one.paused() is not None)
        assert one.paused() == "the teacher does not answer: status 500; labelling pauses until it does"
        calls = len(server.calls)
        server.acts[:] = [says("other")]
        answers = await asyncio.gather(*asked)

    assert calls <= 2 + 4
    assert all(answer.text for answer in answers)
    assert one.paused() is None


async def test_ask__nobody_listens() -> None:
    """A closed port counts as down."""
    async with teacher_server(says("other")) as server:
        url = server.url
    one = TeacherClient(workload(teacher={"url": url, "attempts": 1}), ["127.0.0.1"])
    asked = asyncio.create_task(one.ask(PROMPT))
    await until(lambda: one.paused() is not None)
    assert (one.paused() or "").startswith("the teacher does not answer: ClientConnectorError: Cannot connect to host")
    asked.cancel()
    await one.close()


async def test_ask__record_on_which_the_teacher_always_fails() -> None:
    """Where other records are answered the record is at fault: it is refused after its attempts."""

    def act(call: Call) -> web.StreamResponse:
        if call.text == "poison":
            return web.Response(status=500)
        answer = says("other")(call)
        assert isinstance(answer, web.StreamResponse)
        return answer

    async with client(act, attempts=2) as (one, _):
        poison = asyncio.create_task(one.ask(coded_prompt(workload(), "poison", "record-2")))
        while not poison.done():
            await one.ask(PROMPT)
        refused = poison.exception()

    assert isinstance(refused, Refused)
    assert refused.reason is DeadLetterReason.TEACHER_REFUSED
    assert refused.calls >= 2


async def test_ask__rate_limited_with_retry_after() -> None:
    """No call is made before the endpoint's own Retry-After, not even for another question."""
    async with client(status(429, **{"Retry-After": "1"}), says("other"), concurrency=1) as (one, server):
        started = time.monotonic()
        first, second = await asyncio.gather(one.ask(PROMPT), one.ask(PROMPT))

    assert time.monotonic() - started >= 0.95
    assert first.calls + second.calls == 3
    assert len(server.calls) == 3


async def test_ask__slower_than_the_timeout() -> None:
    """A call beyond its deadline is given up and tried again."""

    async def slow(_: Call) -> web.Response:
        await asyncio.sleep(2)
        raise AssertionError

    answer, _ = await ask(slow, says("other"), timeout_seconds=1)

    assert answer.calls == 2


@pytest.mark.parametrize("cut", ['{"choices": [{"mess', "", "[]", '{"choices": []}', '{"choices": [{"message": {}}]}'])
async def test_ask__truncated_answer(cut: str) -> None:
    """An answer that cannot be read is asked for again."""
    answer, _ = await ask(raw(cut), says("other"))

    assert answer.calls == 2


async def test_ask__not_a_number_as_log_probability() -> None:
    """NaN does not break the answer; what it means is decided by the probabilities' rule."""
    answer, _ = await ask(body(completion("A", {"A": 0.0, "B": 0.1})))

    assert answer.text == "A"
    assert answer.top[0][1] != answer.top[0][1]


async def test_ask__no_log_probabilities() -> None:
    """An endpoint without log-probabilities gives an answer without alternatives."""
    answer, _ = await ask(body(completion("A")))

    assert answer.top == ()


@pytest.mark.parametrize(
    ("code", "table", "message"),
    [
        (401, {}, "wants a key"),
        (401, {"api_key_env": "MILLRACE_TEST_KEY"}, "key in this environment variable is wrong"),
        (403, {"api_key_env": "MILLRACE_TEST_KEY"}, "may not use the model"),
        (404, {"model": "no-such-model"}, "no-such-model"),
    ],
)
async def test_ask__wrong_set_up(
    code: int, table: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key or model is no fault of a record: it is reported with its remedy, after one call."""
    monkeypatch.setenv("MILLRACE_TEST_KEY", "wrong")
    async with client(status(code), **table) as (one, server):
        with pytest.raises(SettingsError, match=message):
            await one.ask(PROMPT)

    assert len(server.calls) == 1


async def test_ask__key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key comes from the environment variable that the workload names."""
    monkeypatch.setenv("MILLRACE_TEST_KEY", "right")
    _, server = await ask(says("other"), api_key_env="MILLRACE_TEST_KEY")

    assert server.calls[0].authorization == "Bearer right"


def test_client__key_variable_not_set() -> None:
    """A key variable that is not set is reported at the start."""
    with pytest.raises(SettingsError, match="MILLRACE_NO_SUCH_KEY"):
        TeacherClient(workload(teacher={"api_key_env": "MILLRACE_NO_SUCH_KEY"}), ["127.0.0.1"])


def test_client__host_not_allowed() -> None:
    """A host outside the allow-list is reported at the start."""
    with pytest.raises(SettingsError, match="MILLRACE_ALLOWED_HOSTS"):
        TeacherClient(workload(teacher={"url": "https://teacher.example/v1"}), ["127.0.0.1"])


async def test_ask__endpoint_refuses_the_record() -> None:
    """Any other 4xx refuses this one record, at once."""
    async with client(status(400, "context too long")) as (one, server):
        with pytest.raises(RecordRejected) as refused:
            await one.ask(PROMPT)

    assert refused.value.reason is DeadLetterReason.TEACHER_REFUSED
    assert len(server.calls) == 1


async def test_ask__endpoint_without_constrained_choice() -> None:
    """An endpoint that does not know a parameter is asked without it from then on."""
    async with client(status(400, "unknown field: structured_outputs"), says("other")) as (one, server):
        await one.ask(PROMPT)
        await one.ask(PROMPT)

    assert ["structured_outputs" in call.body for call in server.calls] == [True, False, False]


async def test_ask__endpoint_with_another_name_for_the_limit() -> None:
    """An endpoint that wants `max_completion_tokens` and takes no temperature gets what it wants."""
    refusal = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    async with client(status(400, refusal), status(400, "'temperature' is not supported"), says("other")) as (
        one,
        server,
    ):
        await one.ask(PROMPT)

    sent = server.calls[-1].body
    assert sent["max_completion_tokens"] == 4
    assert not {"max_tokens", "temperature"} & sent.keys()


@pytest.mark.parametrize(
    ("message", "finish", "text", "refused", "cut"),
    [
        ({"content": "<think>mergers? no</think>\n\nA"}, "stop", "A", False, False),
        ({"content": "no opening</think>A"}, "stop", "A", False, False),
        ({"content": "<think>and so on"}, "length", "", False, True),
        ({"content": "A", "reasoning_content": "mergers"}, "stop", "A", False, False),
        ({"content": None, "reasoning_content": "and so on"}, "length", "", False, True),
        ({"content": None, "refusal": "I cannot"}, "stop", "", True, False),
        ({"content": None}, "content_filter", "", True, False),
    ],
)
async def test_ask__thoughts_refusals_and_cut_answers(
    message: dict[str, Any], finish: str, text: str, *, refused: bool, cut: bool
) -> None:
    """Thoughts are no answer; a refusal and an answer that was cut are distinguished from one that cannot be read."""
    answer, _ = await ask(body({"choices": [{"message": message, "finish_reason": finish}]}))

    assert (answer.text, answer.refused, answer.cut) == (text, refused, cut)


async def test_ask__reasoning_teacher_gets_room_to_think() -> None:
    """Its tokens come on top of the answer's."""
    _, server = await ask(says("other"), reasoning_tokens=500)

    assert server.calls[0].body["max_tokens"] == 504


async def test_ask__concurrency_is_bounded() -> None:
    """No more calls are open at once than the workload allows."""

    async def brief(call: Call) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        answer = says("other")(call)
        assert isinstance(answer, web.StreamResponse)
        return answer

    async with client(brief, concurrency=4) as (one, server):
        await asyncio.gather(*(one.ask(PROMPT) for _ in range(40)))

    assert server.most_at_once == 4


async def test_ask__clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps back frees no budget: the call waits. When the hour turns it goes out."""
    monkeypatch.setattr(admission, "_LOOK_SECONDS", 0.01)
    now = datetime(2026, 1, 5, 10, 30, tzinfo=UTC)
    async with teacher_server(says("mergers")) as server:
        limited = workload(teacher={"url": server.url, "budget": {"hour": {"calls": 1}}})
        one = TeacherClient(limited, ["127.0.0.1"], lambda: now)
        try:
            await one.ask(PROMPT)
            now -= timedelta(days=400)
            waiting = asyncio.create_task(one.ask(PROMPT))
            await until(lambda: one.paused() is not None)
            back = len(server.calls)
            now += timedelta(days=400, hours=1)
            await waiting
        finally:
            await one.close()

    assert (back, len(server.calls)) == (1, 2)
