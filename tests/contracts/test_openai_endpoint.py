"""What Millrace needs of any OpenAI-compatible teacher, asked by the official client.

The stand-in is always tried; a real endpoint (vLLM, NIM, hosted) is tried where MILLRACE_TEST_OPENAI_URL names one,
with MILLRACE_TEST_OPENAI_MODEL and, if it wants one, MILLRACE_TEST_OPENAI_KEY.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

from deploy.serve.practice_teacher.routes import Manner, PracticeTeacher, application
from deploy.serve.practice_teacher.truth import TruthFile
from schemas.rules.normalise import text_key
from schemas.workload import Workload
from streams.label.prompting.prompt import Prompt, coded_prompt, plain_prompt

WORKLOAD = Workload.parse(b'name = "contract"\nlabels = ["earnings", "mergers", "dividends"]\n')
TEXT = "Acme to buy Globex in an all-cash deal"
ENDPOINTS = ["stand-in", *(["real"] if "MILLRACE_TEST_OPENAI_URL" in os.environ else [])]


@dataclass(frozen=True)
class Endpoint:
    """A client of an endpoint, and the model to ask."""

    client: openai.AsyncOpenAI
    model: str


@pytest_asyncio.fixture(params=ENDPOINTS)
async def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Endpoint]:
    if request.param == "real":
        url, key = os.environ["MILLRACE_TEST_OPENAI_URL"], os.environ.get("MILLRACE_TEST_OPENAI_KEY", "none")
        async with openai.AsyncOpenAI(base_url=url, api_key=key) as client:
            yield Endpoint(client, os.environ["MILLRACE_TEST_OPENAI_MODEL"])
        return
    entry = {"text_key": text_key(WORKLOAD.name, TEXT), "label": "mergers", "cluster_key": "c"}
    (tmp_path / "truth").write_text(json.dumps(entry) + "\n")
    manner = Manner(service_seconds=0.0, fail_share=0.0, nonsense_share=0.0, seed=1)
    teacher = PracticeTeacher([WORKLOAD], TruthFile(tmp_path / "truth"), None, manner)
    async with (
        TestServer(application(teacher)) as server,
        openai.AsyncOpenAI(base_url=str(server.make_url("/v1")), api_key="none") as client,
    ):
        yield Endpoint(client, "practice-teacher")


async def ask(endpoint: Endpoint, prompt: Prompt) -> openai.types.chat.ChatCompletion:
    messages: Any = list(prompt.messages)
    return await endpoint.client.chat.completions.create(
        model=endpoint.model,
        messages=messages,
        temperature=0,
        max_tokens=8,
        logprobs=True,
        top_logprobs=20,
        extra_body={"structured_outputs": {"choice": list(prompt.choices)}},
    )


async def test_endpoint__a_constrained_choice_is_kept(endpoint: Endpoint) -> None:
    """The answer is one of the choices, codes or labels, and nothing else."""
    for prompt in (coded_prompt(WORKLOAD, TEXT, "record-1"), plain_prompt(WORKLOAD, TEXT)):
        answer = (await ask(endpoint, prompt)).choices[0].message.content

        assert answer in prompt.choices


async def test_endpoint__the_first_token_gives_probabilities_over_the_codes(endpoint: Endpoint) -> None:
    """Every code is among the alternatives of the first token, and together they have most of the probability."""
    prompt = coded_prompt(WORKLOAD, TEXT, "record-2")
    logprobs = (await ask(endpoint, prompt)).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    top = {one.token.strip(): math.exp(one.logprob) for one in logprobs.content[0].top_logprobs}

    assert set(prompt.choices) <= set(top)
    assert sum(top[code] for code in prompt.choices) == pytest.approx(1.0, abs=0.05)


async def test_endpoint__usage_is_counted(endpoint: Endpoint) -> None:
    """Tokens of prompt and completion are there, so that a budget can be kept."""
    usage = (await ask(endpoint, plain_prompt(WORKLOAD, TEXT))).usage

    assert usage is not None
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_endpoint__a_stream_joins_to_an_answer_with_usage(endpoint: Endpoint) -> None:
    """Streamed pieces join to one of the choices, and the last chunk has the usage that was asked for."""
    prompt = plain_prompt(WORKLOAD, TEXT)
    messages: Any = list(prompt.messages)
    stream = await endpoint.client.chat.completions.create(
        model=endpoint.model,
        messages=messages,
        temperature=0,
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"structured_outputs": {"choice": list(prompt.choices)}},
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert said in prompt.choices
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens > 0


async def test_endpoint__its_model_is_listed(endpoint: Endpoint) -> None:
    """/v1/models names the model that answers."""
    assert endpoint.model in [model.id async for model in endpoint.client.models.list()]


async def test_endpoint__a_malformed_request_is_a_clients_error(endpoint: Endpoint) -> None:
    """No messages: 4xx, which is never tried again, not 5xx, which is."""
    with pytest.raises(openai.APIStatusError) as caught:
        await endpoint.client.chat.completions.create(model=endpoint.model, messages=[])

    assert 400 <= caught.value.status_code < 500
