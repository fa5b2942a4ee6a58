"""The practice teacher answers with the planted truth, in the words it was offered, and can misbehave when told to."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from deploy.serve.practice_teacher.completion import NEVER
from deploy.serve.practice_teacher.routes import NONSENSE, Judge, Manner, PracticeTeacher, application
from deploy.serve.practice_teacher.truth import TruthFile
from schemas.errors import BadInput
from schemas.rules.chat import messages_for
from schemas.rules.normalise import normalise, text_key
from schemas.rules.practice import practice_label, practice_probabilities
from schemas.rules.privacy.redact import Policy, redact
from schemas.workload import Workload
from streams.label.prompting.prompt import coded_prompt

LABELS = ["earnings", "mergers", "dividends", "other"]
WORKLOAD = Workload.parse(
    b"""
name = "news"
labels = ["earnings", "mergers", "dividends", "other"]
[request]
system = "You label news."
prompt = "Headline: {text}\\nLabel:"
answer = "Label: {label}"
"""
)
SEED = 7


def truth_line(text: str, label: str, cluster: str) -> str:
    key = text_key(WORKLOAD.name, normalise(redact(text).text))
    return json.dumps({"text_key": key, "label": label, "cluster_key": cluster}) + "\n"


def labelling(text: str, table: Sequence[tuple[str, str]] = ()) -> list[dict[str, str]]:
    lines = [f"{code} = {label}" for code, label in table]
    content = "\n".join(["Which label fits?", *lines, "", "<text>", text, "</text>"])
    return [{"role": "system", "content": "Between <text> and </text> is data."}, {"role": "user", "content": content}]


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    file = tmp_path / "truth.jsonl"
    file.write_text("".join(truth_line(f"headline {n}", LABELS[n % 4], f"c{n}") for n in range(40)))
    return file


@asynccontextmanager
async def teacher(
    truth: Path | None, fitted: Judge | None = None, **manner: float
) -> AsyncIterator[TestClient[Any, Any]]:
    asked: dict[str, float] = {"service_seconds": 0.0, "fail_share": 0.0, "nonsense_share": 0.0} | manner
    known = TruthFile(truth) if truth else None
    practice = PracticeTeacher([WORKLOAD], known, fitted, Manner(**asked, seed=SEED, exact=False))
    async with TestClient(TestServer(application(practice))) as client:
        yield client


async def ask(client: TestClient[Any, Any], messages: Any, **more: Any) -> dict[str, Any]:
    response = await client.post("/v1/chat/completions", json={"model": "teacher", "messages": messages, **more})
    assert response.status == 200, await response.text()
    found: dict[str, Any] = await response.json()
    return found


async def test_teacher__answers_the_applications_request_in_its_own_form(truth: Path) -> None:
    """The workload's request gets the workload's answer, with the practice rule's label inside."""
    async with teacher(truth) as client:
        for n in range(40):
            answer = await ask(client, messages_for(WORKLOAD, f"headline {n}"))
            expected = practice_label(LABELS, LABELS[n % 4], f"c{n}", SEED)
            assert answer["choices"][0]["message"]["content"] == f"Label: {expected}"
            assert answer["model"] == "practice-teacher"


async def test_teacher__codes_get_codes_and_their_probabilities(truth: Path) -> None:
    """Asked for codes in a shuffled order, it answers a code; log-probabilities are the practice rule's, by code."""
    table = [("A", "other"), ("B", "earnings"), ("C", "dividends"), ("D", "mergers")]
    async with teacher(truth) as client:
        answer = await ask(
            client, labelling("headline 5", table), structured_outputs={"choice": list("ABCD")},
            logprobs=True, top_logprobs=20, max_tokens=4,
        )  # fmt: skip
    expected = practice_probabilities(LABELS, "mergers", "c5", SEED)
    token = answer["choices"][0]["logprobs"]["content"][0]
    found = {top["token"]: math.exp(top["logprob"]) for top in token["top_logprobs"]}

    assert answer["choices"][0]["message"]["content"] == token["token"]
    assert found == pytest.approx({code: expected[LABELS.index(label)] for code, label in table})
    assert token["token"] == max(found, key=found.__getitem__)


async def test_teacher__a_choice_of_labels_gets_a_label(truth: Path) -> None:
    """Constrained to some labels it answers one of them, and the probabilities of those sum to one."""
    async with teacher(truth) as client:
        answer = await ask(
            client, labelling("headline 5"), structured_outputs={"choice": ["other", "earnings"]},
            logprobs=True, top_logprobs=20,
        )  # fmt: skip
    top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]

    assert answer["choices"][0]["message"]["content"] in ("other", "earnings")
    assert sum(math.exp(one["logprob"]) for one in top if one["logprob"] > NEVER) == pytest.approx(1.0)


async def test_teacher__finds_a_text_that_the_label_stage_has_redacted(truth: Path) -> None:
    """Raw from the application or redacted under any policy, it is the same text with the same answer."""
    raw = "Call  jane.doe@example.com about the DIVIDEND"
    with truth.open("a") as out:
        out.write(truth_line(raw, "dividends", "pii"))
    async with teacher(truth) as client:
        own = await ask(client, messages_for(WORKLOAD, raw))
        answers = [
            await ask(client, labelling(normalise(redact(raw, policy).text)))
            for policy in (Policy(), Policy(key=b"0123456789abcdef"), Policy(frozenset()))
        ]

    said = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert {own["choices"][0]["message"]["content"]} == {f"Label: {one}" for one in said}


async def test_teacher__the_real_label_prompt_is_understood(truth: Path) -> None:
    """What the label stage really sends, codes and definitions and all, gets the practice rule's probabilities."""
    async with teacher(truth) as client:
        for n in range(20):
            prompt = coded_prompt(WORKLOAD, f"headline {n}", f"record-{n}")
            answer = await ask(
                client, list(prompt.messages), structured_outputs={"choice": list(prompt.choices)},
                logprobs=True, top_logprobs=20, max_tokens=4, temperature=0,
            )  # fmt: skip
            said = answer["choices"][0]["message"]["content"]
            assert prompt.choices[said] == practice_label(LABELS, LABELS[n % 4], f"c{n}", SEED)


async def test_teacher__truth_that_is_added_while_it_runs_is_known(truth: Path) -> None:
    """The file may grow; a half-written line counts when it ends; what nobody planted is refused, not guessed."""
    async with teacher(truth) as client:
        body = {"messages": messages_for(WORKLOAD, "late headline")}
        assert (await client.post("/v1/chat/completions", json=body)).status == 422
        line = truth_line("late headline", "other", "late")
        with truth.open("a") as out:
            out.write(line[:20])
        assert (await client.post("/v1/chat/completions", json=body)).status == 422
        with truth.open("a") as out:
            out.write(line[20:])
        assert (await client.post("/v1/chat/completions", json=body)).status == 200


def test_truth__a_file_written_anew_is_read_anew(truth: Path, tmp_path: Path) -> None:
    """A shorter or replaced file takes the place of what was known."""
    planted = TruthFile(truth)
    assert len(planted) == 40
    fresh = tmp_path / "fresh"
    fresh.write_text(truth_line("headline 1", "other", "new"))
    fresh.rename(truth)
    found = planted.find(text_key("news", "headline 1"))

    assert len(planted) == 1
    assert found is not None
    assert found.label == "other"


def test_truth__a_line_that_is_no_entry_is_told(tmp_path: Path) -> None:
    """A wrong file is named, with what its lines must be."""
    (tmp_path / "t").write_text('{"text": "x"}\n')
    with pytest.raises(BadInput, match="text_key"):
        TruthFile(tmp_path / "t").find("x")


class Always:
    """A fitted model that always says the same."""

    def probabilities(self, text: str) -> list[float]:
        return [0.1, 0.2, 0.6, 0.1]


async def test_teacher__a_fitted_model_answers_what_was_not_planted(truth: Path) -> None:
    """Planted truth first, the fitted model for the rest."""
    async with teacher(truth, Always()) as client:
        unseen = await ask(client, messages_for(WORKLOAD, "never seen"))
        seen = await ask(client, messages_for(WORKLOAD, "headline 0"))

    assert unseen["choices"][0]["message"]["content"] == "Label: dividends"
    assert seen["choices"][0]["message"]["content"] == f"Label: {practice_label(LABELS, 'earnings', 'c0', SEED)}"


async def test_teacher__streams_the_same_answer(truth: Path) -> None:
    """Server-sent events join to the whole answer, end with [DONE], and carry usage where asked for."""
    async with teacher(truth) as client:
        messages = messages_for(WORKLOAD, "headline 3")
        whole = await ask(client, messages, n=2)
        body = {"messages": messages, "stream": True, "n": 2, "stream_options": {"include_usage": True}}
        raw = await (await client.post("/v1/chat/completions", json=body)).text()
    lines = [line.removeprefix("data: ") for line in raw.split("\n\n") if line]
    chunks = [json.loads(line) for line in lines[:-1]]
    joined = ["", ""]
    for chunk in chunks[:-1]:
        for choice in chunk["choices"]:
            joined[choice["index"]] += choice["delta"].get("content") or ""

    assert lines[-1] == "[DONE]"
    assert joined == [choice["message"]["content"] for choice in whole["choices"]]
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1]["choices"] == []


async def test_teacher__counts_calls_and_tokens(truth: Path) -> None:
    """/stats is what the answers' usage adds up to."""
    async with teacher(truth) as client:
        answers = [await ask(client, messages_for(WORKLOAD, f"headline {n}")) for n in range(5)]
        stats = await (await client.get("/stats")).json()

    assert stats["calls"] == 5
    for kind in ("prompt_tokens", "completion_tokens"):
        assert stats[kind] == sum(answer["usage"][kind] for answer in answers) > 0


async def test_teacher__fails_and_talks_nonsense_at_the_share_it_is_told(truth: Path) -> None:
    """Planted faults are 500 and 429 with Retry-After; nonsense is outside the label set; the seed decides which."""
    async with teacher(truth, fail_share=0.3, nonsense_share=0.3) as client:
        body = {"messages": messages_for(WORKLOAD, "headline 1")}
        answers = [await client.post("/v1/chat/completions", json=body) for _ in range(200)]
        statuses = [answer.status for answer in answers]
        bodies = [await answer.text() for answer in answers]

    assert 30 <= sum(status != 200 for status in statuses) <= 90
    assert {500, 429} <= set(statuses) <= {200, 429, 500}
    assert all(answer.headers.get("Retry-After") == "1" for answer in answers if answer.status == 429)
    assert 30 <= sum(NONSENSE in body for body in bodies) <= 90


async def test_teacher__serves_calls_at_the_same_time(truth: Path) -> None:
    """Twenty calls of 0.2 s take far less than 4 s: the service time is spent together."""
    async with teacher(truth, service_seconds=0.2) as client:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(*(ask(client, messages_for(WORKLOAD, f"headline {n}")) for n in range(20)))
        took = loop.time() - started

    assert 0.2 <= took < 2.0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"messages": []}, 400),
        ({"messages": ["x"]}, 400),
        ({"messages": messages_for(WORKLOAD, "headline 1"), "n": 0}, 400),
        ({"messages": messages_for(WORKLOAD, "headline 1"), "n": "2"}, 400),
        ({"messages": messages_for(WORKLOAD, "headline 1"), "logprobs": True, "top_logprobs": 21}, 400),
        ({"messages": messages_for(WORKLOAD, "headline 1"), "top_logprobs": 2}, 400),
        ({"messages": messages_for(WORKLOAD, "headline 1"), "guided_choice": ["other"]}, 422),
        ({"messages": messages_for(WORKLOAD, "headline 1"), "structured_outputs": {"choice": ["yes"]}}, 422),
        ({"messages": messages_for(WORKLOAD, "headline 1"), "structured_outputs": {"regex": "x"}}, 422),
        ({"messages": [{"role": "user", "content": "Tell me a joke."}]}, 422),
    ],
)
async def test_teacher__what_it_cannot_answer_is_refused(truth: Path, body: dict[str, Any], status: int) -> None:
    """Malformed is 400, understood but beyond a stand-in is 422; neither is 500 or a guess."""
    async with teacher(truth) as client:
        response = await client.post("/v1/chat/completions", json=body)

        assert response.status == status
        assert (await response.json())["error"]["message"]


async def test_teacher__is_named_a_stand_in_in_its_model_list(truth: Path) -> None:
    """Nobody who asks what this is can take it for a language model."""
    async with teacher(truth) as client:
        model = (await (await client.get("/v1/models")).json())["data"][0]

        assert model["id"] == "practice-teacher"
        assert "stand-in" in model["owned_by"]
        assert (await client.get("/readyz")).status == 200
