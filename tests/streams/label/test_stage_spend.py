"""The label stage and what it spends: budget, cache, votes, ledger."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from aiohttp import web

from schemas import topics
from schemas.records import (
    Ceiling,
    DeadLetter,
    LabelKind,
    LabelRecord,
    Provenance,
)
from streams.label.prompting.completion import VOTE_TEMPERATURE
from streams.label.teacher import circuit, client
from tests.streams.doubles import NAME, PARTITION, START, MemoryReader, curated, label, message
from tests.streams.label.staged import labels_of, process, settle, stage
from tests.streams.label.teacher.server import Act, body, completion, raw, says, status

PRICE = {"prompt_per_million": 1_000.0, "completion_per_million": 1_000.0}  # 0.041 a call of the server's


@pytest.mark.parametrize("limit", [{"calls": 2}, {"tokens": 100}, {"money": 0.1}])
async def test_budget__spent(limit: dict[str, float]) -> None:
    """Two calls fit: the third record waits with its partition held, is no dead letter, and nothing more is asked."""
    teacher = {"concurrency": 1, "price": PRICE, "budget": {"hour": limit}}
    async with stage(teacher=teacher) as (one, server):
        first = await settle(one, 0, 1, 2)
        second = await one.process(first.left) if len(first.outputs) == 2 else first

    assert [record.label for record in labels_of(first)] == ["mergers", "mergers"]
    assert ([m.offset for m in second.left], second.held, second.outputs) == ([2], {PARTITION}, [])
    assert len(server.calls) == 2


async def test_budget__spend_is_read_back() -> None:
    """After an assignment what labels, second answers, dead letters and ceilings cost counts as before."""
    said = [label(n, "other", provenance=Provenance.TEACHER, teacher_calls=2) for n in range(2)]
    nonsense = body(completion("I think it rains"))
    async with stage(nonsense, teacher={"concurrency": 1}) as (one, _):
        letters = [output.record for output in (await process(one, curated(7))).outputs]
    again = replace(said[0], kind=LabelKind.CORRECTION)
    measured = Ceiling(
        workload=NAME, time=START, teacher_model="teacher-7b", prompt_sha256="ab", rows=1, effective_n=1.0,
        self_agreement=1.0, low=0.5, high=1.0, ceiling=1.0, teacher_calls=3,
    )  # fmt: skip
    async with stage(teacher={"budget": {"total": {"calls": 11}}}) as (one, server):
        written = {
            topics.CEILINGS: [message(topics.CEILINGS, 0, measured)],
            topics.LABELS: [message(topics.LABELS, n, each) for n, each in enumerate([*said, again])],
            topics.DEAD_LETTERS: [message(topics.DEAD_LETTERS, n, each) for n, each in enumerate(letters)],
        }
        one.assign(PARTITION, MemoryReader(written))
        settlement = await settle(one, 8)

    assert (len(letters), settlement.held, server.calls) == (1, {PARTITION}, [])


async def test_budget__said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The pause is logged once, with the field, the limit and its end, however often the stage looks."""
    async with stage(teacher={"budget": {"day": {"calls": 1}}, "concurrency": 1}) as (one, _):
        left = (await settle(one, 0, 1)).left
        for _ in range(2):
            await one.process(left)
            await one.tick(START)

    lines = [record.getMessage() for record in caplog.records if "is spent" in record.getMessage()]
    assert len(lines) == 1
    assert "teacher.budget.day.calls = 1 is spent (1); labelling pauses until" in lines[0]


async def test_cache__cluster_that_was_asked_for() -> None:
    """A record of a labelled cluster takes its label at no cost, in one batch, in another, and after a restart."""
    async with stage() as (one, server):
        batch = labels_of(await process(one, curated(1), curated(2, cluster_id="record-1")))
        (later,) = labels_of(await process(one, curated(3, cluster_id="record-1"), start=2))
        asked = len(server.calls)
    async with stage() as (again, other):
        again.assign(PARTITION, MemoryReader({topics.LABELS: [message(topics.LABELS, 0, batch[0])]}))
        (read_back,) = labels_of(await process(again, curated(4, cluster_id="record-1"), start=3))

    assert [said.provenance for said in batch] == [Provenance.TEACHER, Provenance.CLUSTER]
    for hit in (batch[1], later, read_back):
        assert (hit.label, hit.provenance, hit.teacher_calls) == ("mergers", Provenance.CLUSTER, 0)
    assert (asked, len(other.calls)) == (1, 0)


async def test_cache__cluster_whose_label_was_corrected() -> None:
    """A cluster gives the label of the second answer, also to what is not audited: it is not asked about once more."""
    async with stage() as (one, _):
        (first,) = labels_of(await process(one, curated(1)))
    second = replace(first, kind=LabelKind.CORRECTION, label="other", text="", prompt_sha256="again")
    async with stage() as (again, server):
        written = [message(topics.LABELS, n, each) for n, each in enumerate([first, second])]
        again.assign(PARTITION, MemoryReader({topics.LABELS: written}))
        (hit,) = labels_of(await process(again, curated(4, cluster_id="record-1"), start=3))

    assert (hit.label, hit.provenance, server.calls) == ("other", Provenance.CLUSTER, [])


@pytest.mark.parametrize("change", [{"definitions": {"other": "anything else"}}, {"teacher": {"model": "another"}}])
async def test_cache__other_prompt_or_teacher(change: dict[str, Any]) -> None:
    """A label that another prompt or another teacher gave is no hit: the teacher of now is asked."""
    async with stage() as (one, _):
        batch = labels_of(await process(one, curated(1)))
    async with stage(**change) as (again, server):
        again.assign(PARTITION, MemoryReader({topics.LABELS: [message(topics.LABELS, 0, batch[0])]}))
        (said,) = labels_of(await process(again, curated(4, cluster_id="record-1"), start=3))

    assert (said.provenance, len(server.calls)) == (Provenance.TEACHER, 1)


async def test_votes__without_log_probabilities() -> None:
    """Where an answer shows no probabilities the question is put again; the majority counts, with its share."""

    def plainly(name: str) -> Act:
        return lambda call: web.json_response(completion(call.codes[name]))

    acts = [plainly("mergers"), plainly("other"), plainly("mergers")]
    async with stage(*acts, teacher={"votes": 3}) as (one, server):
        (said,) = labels_of(await process(one, curated(1)))

    assert (said.label, said.teacher_calls, said.calls) == ("mergers", 3, {"first": 1, "vote": 2})
    assert said.class_probabilities == pytest.approx({"earnings": 0, "mergers": 2 / 3, "other": 1 / 3})
    assert [call.body["temperature"] for call in server.calls] == [0, VOTE_TEMPERATURE, VOTE_TEMPERATURE]
    assert len({call.prompt for call in server.calls}) > 1


async def test_votes__not_asked_for_where_probabilities_are_shown() -> None:
    """A usable list of log-probabilities makes votes needless."""
    async with stage(teacher={"votes": 5}) as (one, server):
        (said,) = labels_of(await process(one, curated(1)))

    assert (said.teacher_calls, len(server.calls)) == (1, 1)


@pytest.mark.parametrize("seed", range(3))
async def test_ledger__is_what_the_endpoint_counted(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an endpoint does, the calls that endings name by purpose are the calls it got."""
    monkeypatch.setattr(client, "_FIRST_JITTER_SECONDS", 0.001)
    monkeypatch.setattr(circuit, "FIRST_SECONDS", 0.01)
    acts = [says("mergers"), status(500), status(429), status(400), body(completion("it rains")), raw("{")]
    drawn = [*Random(seed).choices(acts, [6, 1, 1, 1, 2, 1], k=90), says("other")]
    async with stage(*drawn, teacher={"concurrency": 4, "votes": 3, "attempts": 3}) as (one, server):
        outputs = (await process(one, *(curated(n) for n in range(60)))).outputs

    said = [output.record for output in outputs if isinstance(output.record, LabelRecord)]
    letters = [output.record for output in outputs if isinstance(output.record, DeadLetter)]
    assert len(said) + len(letters) == 60
    assert all(sum(record.calls.values()) == record.teacher_calls for record in said)
    assert sum(record.teacher_calls for record in said) + sum(letter.attempts for letter in letters) == len(
        server.calls
    )
