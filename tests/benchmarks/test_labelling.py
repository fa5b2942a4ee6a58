"""The endpoint of known capacity, and the workload that asks it."""

from __future__ import annotations

import asyncio

import aiohttp

from benchmarks.ground import NEWSWIRE, ROOT
from benchmarks.labelling import CEILING, _at, counts, teacher
from schemas.workload import Workload


async def test_slots__never_more_than_there_are_and_their_time_is_told() -> None:
    """Six calls on two slots take three service times; all of the slot time that they took is counted."""
    with teacher(2, 0.2) as url:
        before = counts(url)
        async with aiohttp.ClientSession() as session:

            async def ask() -> str:
                body = {"structured_outputs": {"choice": ["B", "A"]}}
                async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                    said: str = (await answer.json())["choices"][0]["message"]["content"]
                    return said

            answers = await asyncio.gather(*(ask() for _ in range(6)))
        after = counts(url)

    assert answers == ["B"] * 6
    assert after["answered"] - before["answered"] == 6
    assert after["now"] - before["now"] >= 3 * 0.2
    assert after["used"] >= 6 * 0.2


def test_workload__asks_the_endpoint() -> None:
    """The newswire's file stays as it is but for its teacher."""
    file = (ROOT / "workloads" / f"{NEWSWIRE}.toml").read_text()
    before, after = (Workload.parse(text.encode(), "newswire.toml") for text in (file, _at(file, "http://127.0.0.1:1")))

    assert (after.teacher.url, after.teacher.concurrency) == ("http://127.0.0.1:1/v1", CEILING)
    assert after.model_dump(exclude={"teacher"}) == before.model_dump(exclude={"teacher"})
