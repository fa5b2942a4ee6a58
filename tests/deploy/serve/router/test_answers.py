"""Who answers, what the client sees, and what is recorded of it: over real HTTP on every side."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from deploy.serve.router import answer
from deploy.serve.router.students import StudentFailed
from schemas.events import RolloutState, ServedModel
from schemas.records import AnsweredBy, OutcomeMode, Variant
from schemas.rules.privacy.redact import Policy, redact
from tests.deploy.serve.router.conftest import PRIVACY_KEY, ROLLOUT, House, adapter, canary, until

Teller = Any


async def test_no_student__teacher_answers(house: House) -> None:
    """Without a student the teacher's answer comes through unchanged, is captured as the teacher's, and learnt from."""
    status, headers, body = await house.chat()
    (outcome,) = await house.outcomes(1)
    (record,) = house.kept.traffic

    assert (status, body["choices"][0]["message"]["content"], body["model"]) == (200, "up", "big")
    assert headers[answer.VARIANT] == "champion"
    assert (record.answered_by, record.answer, record.propensity) == (AnsweredBy.TEACHER, "up", 1.0)
    assert json.loads(record.request or "")["model"] == "news"
    assert (outcome.mode, outcome.assigned, outcome.served, outcome.label) == (
        OutcomeMode.LIVE, Variant.CHAMPION, Variant.CHAMPION, "up",
    )  # fmt: skip


async def test_caller__is_captured_by_name_version_and_the_hash_of_its_key(house: House) -> None:
    """Caps go by the API key; the key itself is in no record."""
    mine = {"x-millrace-client": "desk", "x-millrace-client-version": "2.1", "Authorization": "Bearer sk-very-secret"}
    await house.chat(headers=mine)
    await house.chat("ACME falls", headers=mine)
    await house.chat("ACME rests", headers=mine | {"Authorization": "Bearer sk-another"})
    await house.outcomes(3)
    one, same, other = house.kept.traffic

    assert (one.client, one.client_version) == ("desk", "2.1")
    assert one.api_key_hash == same.api_key_hash != other.api_key_hash
    assert "very-secret" not in repr(one)


async def test_logprobs__asked_for_by_us(house: House) -> None:
    """Log-probabilities are asked for and captured, and the client does not see what it did not ask for."""
    _, _, body = await house.chat()
    await house.outcomes(1)

    assert house.teacher.asked[0]["top_logprobs"] == 20
    assert body["choices"][0]["logprobs"] is None
    assert json.loads(house.kept.traffic[0].response or "")["choices"][0]["logprobs"] == {"content": []}


async def test_logprobs__refused_by_the_teacher(house: House) -> None:
    """A teacher that refuses log-probabilities is asked without them, from then on at the first try."""
    house.teacher.refuses_logprobs = True
    first, _, _ = await house.chat()
    second, _, _ = await house.chat()

    assert (first, second, len(house.teacher.asked)) == (200, 200, 3)


async def test_shadow__asked_aside(house: House, student: ServedModel) -> None:
    """In shadow the teacher answers; the student is asked besides, with both labels in one shadow outcome."""
    await house.serve(state=RolloutState.SHADOW, challenger=student, shadow=True)
    _, headers, body = await house.chat()
    (outcome,) = await house.outcomes(1)

    assert (body["model"], headers[answer.VARIANT]) == ("big", "champion")
    assert (outcome.mode, outcome.challenger_label, outcome.teacher_label) == (OutcomeMode.SHADOW, "down", "up")
    assert (outcome.rollout_id, outcome.assigned) == (ROLLOUT, Variant.CHAMPION)
    assert house.kept.traffic[0].answered_by is AnsweredBy.TEACHER


async def test_canary__student_answers(house: House, student: ServedModel) -> None:
    """An assigned request gets the student's label under its true version; the teacher's reference is captured.

    The student sees the text that curate writes of it, under the workload's policy and key.
    """
    await house.serve(**canary(student))
    _, headers, body = await house.chat("Mail ada@example.com\u200b now")
    (outcome,) = await house.outcomes(1)
    (record,) = house.kept.traffic

    assert (body["choices"][0]["message"]["content"], body["model"]) == ("down", "news-1")
    assert (headers[answer.VARIANT], headers[answer.VERSION], headers[answer.ROLLOUT]) == (
        "challenger", "news-1", ROLLOUT,
    )  # fmt: skip
    taught = redact("Mail ada@example.com now", Policy(key=PRIVACY_KEY.encode())).text
    assert house.students.asked == [("news-1", taught)]
    assert taught.startswith("Mail <EMAIL:")
    assert (outcome.label, outcome.challenger_label, outcome.teacher_label, outcome.served) == (
        "down", "down", "up", Variant.CHALLENGER,
    )  # fmt: skip
    assert (record.answered_by, record.answer, record.audit, record.propensity) == (AnsweredBy.TEACHER, "up", True, 1.0)


@pytest.mark.parametrize(("status", "delay", "reason"), [(500, 0.0, "error"), (200, 30.0, "timeout")])
async def test_canary__student_fails(
    house: House, student: ServedModel, status: int, delay: float, reason: str
) -> None:
    """When the student fails the teacher answers, and the failure counts against the assigned variant."""
    await house.serve(**canary(student))
    house.students.status, house.students.delay_seconds = status, delay
    code, headers, body = await house.chat()
    (outcome,) = await house.outcomes(1)

    assert (code, body["model"], headers[answer.FALLBACK]) == (200, "big", reason)
    assert (outcome.assigned, outcome.served, outcome.challenger_failed) == (
        Variant.CHALLENGER, Variant.CHAMPION, True,
    )  # fmt: skip
    assert outcome.fallback_reason == reason


async def test_student__what_it_says_of_a_text_is_not_repeated(house: House, student: ServedModel) -> None:
    """A student server's own words may quote the text: the failure, which is logged, has its status alone."""
    await house.serve(**canary(student))
    house.students.status = 500

    with pytest.raises(StudentFailed) as caught:
        await house.router.students.classify(student, "a text", 5.0)
    assert str(caught.value) == "error: 500"


async def test_canary__reference_fails(house: House, student: ServedModel) -> None:
    """When the teacher cannot say its reference, the request is captured as the student's, to be audited later."""
    await house.serve(**canary(student))
    house.teacher.statuses = [500]
    await house.chat()
    (outcome,) = await house.outcomes(1)

    assert outcome.teacher_label is None
    assert (house.kept.traffic[0].answered_by, house.kept.traffic[0].audit) == (AnsweredBy.STUDENT, True)


async def test_promoted__audit_sample(house: House, student: ServedModel) -> None:
    """After promotion the student answers all; only a uniform, recorded share is also answered by the teacher."""
    await house.serve(state=RolloutState.PROMOTED, champion=student)
    answers = [await house.chat(f"text {i}") for i in range(40)]
    await house.outcomes(40)
    audited = [record for record in house.kept.traffic if record.audit]
    others = [record for record in house.kept.traffic if not record.audit]

    assert {body["model"] for _, _, body in answers} == {"news-1"}
    assert 8 <= len(audited) <= 32
    assert {(r.answered_by, r.propensity) for r in audited} == {(AnsweredBy.TEACHER, 0.5)}
    assert {(r.answered_by, r.propensity) for r in others} == {(AnsweredBy.STUDENT, None)}
    assert {(r.student_label, r.student_version) for r in audited} == {("down", "news-1")}
    assert {(r.student_label, r.student_version) for r in others} == {(None, None)}
    assert len(house.teacher.asked) == len(audited)


async def test_student_champion__only_disagreements_reach_the_teacher(house: House, student: ServedModel) -> None:
    """Against a student champion the teacher is asked beyond the audit sample only where the two differ."""
    second = adapter(house.settings.artefacts_dir, "news-2")
    house.students.labels = {"news-1": "flat", "news-2": "flat"}
    await house.serve(**canary(second, champion=student, epoch=2))
    for i in range(20):
        await house.chat(f"same {i}")
    same = [(o.audit, o.teacher_label) for o in await house.outcomes(20)]
    house.students.labels["news-2"] = "down"
    for i in range(20):
        await house.chat(f"other {i}")
    differing = (await house.outcomes(40))[20:]

    kept = {(r.student_label, r.student_version) for r in house.kept.traffic if r.selection_reason is not None}
    assert kept == {("flat", "news-1")}  # the champion's, also where the challenger answered
    assert {said for audit, said in same if not audit} == {None}
    assert {o.teacher_label for o in differing} == {"up"}
    assert {(o.champion_label, o.challenger_label, o.label) for o in differing} == {("flat", "down", "down")}


@pytest.mark.parametrize(
    ("more", "reason"), [({"tools": [{}]}, "tools"), ({"n": 2}, "n"), ({"logprobs": True}, "logprobs")]
)
async def test_ineligible__teacher_answers(
    house: House, student: ServedModel, more: dict[str, Any], reason: str
) -> None:
    """A request a student cannot stand in for goes to the teacher as it is, and makes no outcome."""
    await house.serve(state=RolloutState.PROMOTED, champion=student)
    _, headers, body = await house.chat(**more)

    assert (body["model"], headers[answer.VARIANT]) == ("big", "teacher")
    assert more.items() <= house.teacher.asked[0].items(), reason
    assert house.kept.outcomes == []


async def test_buckets__nested(house: House, student: ServedModel) -> None:
    """Who got the challenger at a low weight gets it at every higher one; a session sticks."""
    served: list[set[int]] = []
    for sequence, weight in enumerate([0.2, 0.6], start=1):
        await house.serve(**canary(student, weight, sequence=sequence))
        bodies = [await house.chat("x", headers={"x-session-id": f"s{i}"}) for i in range(60)]
        served.append({i for i, (_, headers, _) in enumerate(bodies) if headers[answer.VARIANT] == "challenger"})

    assert served[0] < served[1]
    assert 2 <= len(served[0]) <= 24
    assert 24 <= len(served[1]) <= 48


async def test_openai_client__plain_and_stream(house: House, student: ServedModel) -> None:
    """The official client reads a student's and a teacher's answers, plain and streamed, through one base URL."""
    client = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0)
    said = []
    for state in (RolloutState.IDLE, RolloutState.PROMOTED):
        champion = student if state is RolloutState.PROMOTED else None
        await house.serve(state=state, champion=champion, sequence=1 + (champion is not None))
        messages: Any = [{"role": "user", "content": "ACME"}]
        plain = await client.chat.completions.create(model="news", messages=messages)
        stream = await client.chat.completions.create(
            model="news", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        said.append((plain.choices[0].message.content, text, chunks[0].model))
    models = [model.id async for model in client.models.list()]
    await client.close()

    assert said == [("up", "up", "big"), ("down", "down", "news-1")]
    assert models == ["news"]


async def test_stream__captured(house: House) -> None:
    """A streamed answer of the teacher is captured whole, with its label."""
    body = {"model": "news", "stream": True, "messages": [{"role": "user", "content": "ACME"}]}
    async with house.http.post(f"{house.url}/v1/chat/completions", json=body) as response:
        await response.read()
    (outcome,) = await house.outcomes(1)

    assert (outcome.label, house.kept.traffic[0].answer) == ("up", "up")
    assert house.kept.traffic[0].answered_by is AnsweredBy.TEACHER


async def test_stream__slow_reader(house: House) -> None:
    """The router buffers no stream: while the client does not read, the teacher cannot send on; then all arrives."""
    house.teacher.chunks, house.teacher.chunk_bytes = 400, 100_000
    body = {"model": "news", "stream": True, "messages": [{"role": "user", "content": "ACME"}]}
    async with house.http.post(f"{house.url}/v1/chat/completions", json=body) as response:
        await response.content.readany()
        before = -1
        while before != house.teacher.sent:
            before = house.teacher.sent
            await asyncio.sleep(0.3)
        stalled = house.teacher.sent
        rest = await response.read()

    assert stalled < 400
    assert rest.endswith(b"data: [DONE]\n\n")
    assert house.teacher.sent == 400


async def test_stream__client_leaves(house: House) -> None:
    """A client that leaves in mid-stream ends the teacher's work."""
    house.teacher.chunks, house.teacher.chunk_bytes = 400, 100_000
    body = {"model": "news", "stream": True, "messages": [{"role": "user", "content": "ACME"}]}
    response = await house.http.post(f"{house.url}/v1/chat/completions", json=body)
    await response.content.readany()
    response.close()

    await until(lambda: house.teacher.gone)


async def test_classify__both(house: House, student: ServedModel) -> None:
    """Classify gives labels, probabilities where a student answered, and the version that did."""
    async with house.http.post(f"{house.url}/v1/classify", json={"model": "news", "input": "a"}) as response:
        teacher = (await response.json())["data"]
    await house.serve(state=RolloutState.PROMOTED, champion=student)
    async with house.http.post(f"{house.url}/v1/classify", json={"model": "news", "input": ["a", "b"]}) as response:
        rows = (await response.json())["data"]
    await house.outcomes(3)

    assert [(row["label"], row["probabilities"], row["model"]) for row in teacher] == [("up", None, "big")]
    assert [(row["label"], row["model"]) for row in rows] == [("down", "news-1")] * 2
    assert rows[0]["probabilities"] == {"up": 0.1, "down": 0.8, "flat": 0.1}


async def test_classify__teacher_refuses(house: House) -> None:
    """A teacher that answered, though badly, is not called absent: the error has its status."""
    house.teacher.statuses = [422]
    async with house.http.post(f"{house.url}/v1/classify", json={"model": "news", "input": "a"}) as response:
        error = (await response.json())["error"]

    assert response.status == 502
    assert (error["message"], error["code"]) == ("the teacher answered with status 422", "teacher_failed")


async def test_other_route__passed_on(house: House) -> None:
    """Anything else under /v1 goes to the teacher, with the workload's name replaced by the teacher's model."""
    async with house.http.post(f"{house.url}/v1/embeddings?x=1", json={"model": "news", "input": "a"}) as response:
        said = await response.json()

    assert said == {"path": "/v1/embeddings?x=1", "body": {"model": "big", "input": "a"}}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "no JSON"),
        (b"[]", 400, "JSON object"),
        (b'{"model":"nwes"}', 404, "known: news"),
        (b"x" * 950_000, 413, "large"),
    ],
)
async def test_bad_request__is_named(house: House, body: bytes, status: int, words: str) -> None:
    """A mistake in a request is answered in OpenAI's error form, naming the mistake."""
    async with house.http.post(f"{house.url}/v1/chat/completions", data=body) as response:
        said = await response.json()

    assert response.status == status
    assert words in said["error"]["message"]


async def test_teacher__overloaded(house: House) -> None:
    """A teacher that says 503 once is asked again; one that goes on saying it is passed through."""
    house.teacher.statuses = [503]
    again, _, _ = await house.chat()
    house.teacher.statuses = [503] * 9
    passed, _, _ = await house.chat("b")

    assert (again, passed) == (200, 503)
