"""The label stage with backfill: what a batch makes of records, and of a worker that dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.commands.labels.ledger import ledger, plain
from deploy.edge.process.settings import Settings
from schemas import topics
from schemas.errors import SettingsError
from schemas.records import AnsweredBy, CuratedRecord, DeadLetter, LabelRecord, Provenance
from schemas.rules.partition import partition_of
from streams.core.stage import Message, Output
from streams.label.stage import LabelStage
from streams.label.teacher.batches import gathering
from tests.streams.doubles import NAME, PARTITION, MemoryReader, curated, message, workload
from tests.streams.label.teacher.batches.quick import BATCH, quick, until
from tests.streams.label.teacher.server import Server, body, completion, never, says, status, teacher_server

__all__ = ["quick"]

pytestmark = pytest.mark.usefixtures("quick")
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def old(number: int, **fields: Any) -> CuratedRecord:
    """Return a record that was two days old when it arrived."""
    record = curated(number)
    return curated(number, arrival_time=record.event_time + timedelta(hours=48), **fields)


@asynccontextmanager
async def stage_at(server: Server, **tables: Any) -> AsyncIterator[LabelStage]:
    teacher = {"url": server.url, "attempts": 2, "may_train": True, "batch": BATCH} | tables.pop("teacher", {})
    one = LabelStage(Settings(state_dir=Path("unused")), {NAME: workload(teacher=teacher, **tables)})
    try:
        yield one
    finally:
        await one.close()


def at(*records: CuratedRecord) -> list[Message]:
    return [message(topics.CURATED, place, record) for place, record in enumerate(records)]


async def process(one: LabelStage, left: Sequence[Message], settled: list[Output] | None = None) -> list[Output]:
    """Feed what is left again and again, as the source does, until all is settled."""
    outputs = [] if settled is None else settled
    while left:
        settlement = await one.process(left)
        settlement.committed()
        outputs += settlement.outputs
        left = settlement.left
    return outputs


def labels_of(outputs: Sequence[Output]) -> list[LabelRecord]:
    return [output.record for output in outputs if isinstance(output.record, LabelRecord)]


def books(outputs: Sequence[Output]) -> Any:
    letters = [output.record for output in outputs if isinstance(output.record, DeadLetter)]
    return ledger([(NOW, each) for each in labels_of(outputs)], [(NOW, each) for each in letters], NOW)


async def test_backfill__is_labelled_in_batches() -> None:
    """Old records are asked about in one batch, each call identified in the books, with nothing left over."""
    async with teacher_server(says("mergers")) as server, stage_at(server) as one:
        outputs = await process(one, at(*map(old, range(30))))
    found = books(outputs)

    assert [(said.label, said.provenance, said.batched) for said in labels_of(outputs)] == [
        ("mergers", Provenance.TEACHER, True)
    ] * 30
    assert all(said.class_probabilities for said in labels_of(outputs))
    assert server.batch.sizes() == [30]
    assert (found.calls, found.batched, found.residual, len(server.calls)) == (30, 30, 0, 30)


async def test_backfill__beside_fresh_records() -> None:
    """Fresh records of the partition are asked call by call meanwhile; all are settled in their order."""
    mixed = [old(n) if n % 3 else curated(n) for n in range(12)]
    async with teacher_server(says("mergers")) as server, stage_at(server) as one:
        server.batch.open = False
        outputs: list[Output] = []
        running = asyncio.create_task(process(one, at(*mixed), outputs))
        await until(lambda: len(server.calls) == 4 and len(outputs) == 1)
        server.batch.open = True
        await running
    said = labels_of(outputs)

    assert [record.origin.offset for record in said] == list(range(12))
    assert [record.batched for record in said] == [bool(n % 3) for n in range(12)]
    assert (server.batch.sizes(), len(server.calls)) == ([8], 12)
    assert (books(outputs).batched, books(outputs).residual) == (8, 0)


async def test_backfill__money_is_that_of_batches() -> None:
    """Batched calls cost their share of the price, in the books and against the budget."""
    price = {"prompt_per_million": 1_000.0, "completion_per_million": 1_000.0, "batch_share": 0.5}
    table: dict[str, Any] = {"price": price, "budget": {"day": {"money": 100.0}}}
    async with teacher_server(says("other")) as server, stage_at(server, teacher=table) as one:
        outputs = await process(one, at(old(1), curated(2)))
        of = workload(teacher={"url": server.url} | table).teacher
    spent = plain(books(outputs), of.price, of.budget)

    assert spent["spent"]["total"]["money"]["amount"] == pytest.approx(0.041 * 1.5)
    assert (spent["calls"], spent["batched"]) == (2, 1)


async def test_kill__asks_nothing_twice() -> None:
    """A stage made anew settles from its batch what the dead one had asked: the endpoint saw each call once."""
    records = at(*map(old, range(20)))
    async with teacher_server(says("mergers")) as server:
        async with stage_at(server) as one:
            server.batch.open = False
            left = (await one.process(records)).left
            await until(lambda: bool(server.batch.batches))
            assert len((await one.process(left)).left) == 20
        server.batch.open = True
        async with stage_at(server) as again:
            again.assign(PARTITION, MemoryReader({}))
            outputs = await process(again, records)

    assert (len(labels_of(outputs)), len(server.calls), server.batch.sizes()) == (20, 20, [20])
    assert (books(outputs).residual, books(outputs).calls) == (0, 20)


async def test_kill__between_first_answers_and_second_prompts() -> None:
    """Calls that repeat a question are found again too, each as what it was for."""
    acts = [body(completion("I think it rains")), never(), says("mergers")]
    record = at(old(1))
    async with teacher_server(*acts) as server:
        async with stage_at(server) as one:
            await process(one, record)
        asked = len(server.calls)
        async with stage_at(server) as again:
            outputs = await process(again, record)
    (said,) = labels_of(outputs)

    assert (asked, len(server.calls)) == (3, 3)
    assert (said.calls, said.batched) == ({"first": 1, "second_prompt": 1, "retry": 1}, True)
    assert books(outputs).residual == 0


async def test_votes__and_paraphrases_go_in_batches() -> None:
    """All questions of a record go one way, so that its price is one."""
    tables: dict[str, Any] = {"teacher": {"votes": 3}, "augment": {"paraphrases": 2, "rows": 50}}
    train = {"splits": {"validation": 0.0, "certification": 0.0, "test": 0.0}}
    async with teacher_server(says("mergers")) as server, stage_at(server, **tables, **train) as one:
        server.acts[:] = [lambda call: body(completion(call.codes.get("mergers", "1. Other words\n2. And more")))(call)]
        outputs = await process(one, at(old(1)))
    (said,) = labels_of(outputs)

    assert (said.calls, said.batched) == ({"first": 1, "vote": 2, "paraphrase": 1}, True)
    assert said.paraphrases == ["Other words", "And more"]
    assert (said.class_probabilities or {})["mergers"] == 1.0
    assert server.batch.sizes() == [1, 2, 1]
    assert books(outputs).residual == 0


async def test_paraphrases__of_a_batch_are_as_many_as_wanted() -> None:
    """Of the records of a class that one batch labels, only as many are paraphrased as make it common."""
    tables: dict[str, Any] = {"augment": {"paraphrases": 1, "rows": 3}}
    none_tested = {"splits": {"validation": 0, "certification": 0, "test": 0}}
    async with teacher_server(says("mergers")) as server, stage_at(server, **tables, **none_tested) as one:
        server.acts[:] = [lambda call: body(completion(call.codes.get("mergers", "1. Other words")))(call)]
        outputs = await process(one, at(*map(old, range(12))))

    assert [len(said.paraphrases) for said in labels_of(outputs)] == [1] * 3 + [0] * 9
    assert server.batch.sizes() == [12, 3]


async def test_harvest__of_an_old_record_is_paraphrased_in_a_batch() -> None:
    """A recorded answer costs nothing; what is asked beside it goes the record's way, at its price."""
    tables: dict[str, Any] = {"augment": {"paraphrases": 1}, "splits": {"validation": 0, "certification": 0, "test": 0}}
    async with teacher_server(body(completion("1. Other words"))) as server, stage_at(server, **tables) as one:
        outputs = await process(one, at(old(1, answer="other", answered_by=AnsweredBy.TEACHER)))
    (said,) = labels_of(outputs)

    assert (said.provenance, said.calls, said.batched) == (Provenance.HARVEST, {"paraphrase": 1}, True)
    assert (said.paraphrases, server.batch.sizes(), books(outputs).residual) == (["Other words"], [1], 0)


async def test_backfill__what_is_refused() -> None:
    """A refused line is a dead letter of its record alone, and its call is in the books."""

    def act(call: Any) -> Any:
        return (status(400) if call.text == "Company 1 reports" else says("other"))(call)

    async with teacher_server(act) as server, stage_at(server) as one:
        outputs = await process(one, at(*map(old, range(3))))

    letter = outputs[1].record
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.attempts, len(labels_of(outputs))) == ("teacher_refused", 1, 2)
    assert (books(outputs).residual, books(outputs).calls) == (0, 3)


async def test_endpoint__without_batches() -> None:
    """It ends the worker with the remedy: no record becomes a dead letter for it."""
    async with teacher_server(says("other")) as server, stage_at(server, teacher={"url": server.url + "/else"}) as one:
        with pytest.raises(SettingsError, match="remove after_hours"):
            await process(one, at(old(1), old(2)))


async def test_cluster__of_a_backfilled_record_costs_one_request() -> None:
    """Near duplicates in the same backfill take the label that the first of them gets."""
    async with teacher_server(says("other")) as server, stage_at(server) as one:
        outputs = await process(one, at(*(old(n, cluster_id="record-0") for n in range(5))))

    assert [said.provenance for said in labels_of(outputs)] == [Provenance.TEACHER] + [Provenance.CLUSTER] * 4
    assert [said.batched for said in labels_of(outputs)] == [True] + [False] * 4
    assert server.batch.sizes() == [1]


async def test_window__full_of_batches_holds_its_partition_alone() -> None:
    """More records join an open window; a full one is held, so that another partition has room; nothing spins."""
    table = {"batch": BATCH | {"records": 4}}
    other = next(n for n in range(topics.PARTITIONS) if n != partition_of(NAME, topics.PARTITIONS))
    async with teacher_server(says("other")) as server, stage_at(server, teacher=table) as one:
        server.batch.open = False
        records = at(*map(old, range(4)))
        some = await one.process(records[:2])
        full = await one.process([*some.left, *records[2:]])
        fresh = message(topics.CURATED, 0, curated(9), partition=other)
        beside = await one.process([*full.left, fresh])

        assert (some.held, full.held) == (set(), {PARTITION})
        assert [output.partition for output in beside.outputs] == [other]
        assert (len(beside.left), beside.held) == (4, {PARTITION})
        assert one.batch_records == 256 + 4


async def test_partition__that_was_another_workers_meanwhile() -> None:
    """What the other worker sent is found, though this one had looked before."""
    async with teacher_server(says("other")) as server, stage_at(server) as one:
        await process(one, at(old(1)))
        one.revoke(PARTITION)
        server.batch.open = False
        async with stage_at(server) as other:
            left = (await other.process(at(old(2)))).left
            await until(lambda: len(server.batch.batches) == 2)
        server.batch.open = True
        one.assign(PARTITION, MemoryReader({}))
        outputs = await process(one, left)

    assert (len(labels_of(outputs)), server.batch.sizes()) == (1, [1, 1])


async def test_partition__that_goes_elsewhere_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was gathered is dropped unsent; what was sent is found again."""
    monkeypatch.setattr(gathering, "QUIET_SECONDS", 1.5)
    async with teacher_server(says("other")) as server, stage_at(server) as one:
        left = (await one.process(at(old(1)))).left
        one.revoke(PARTITION)
        monkeypatch.setattr(gathering, "QUIET_SECONDS", 0.05)
        gathered = len(server.batch.batches)
        outputs = await process(one, left)

    assert (gathered, server.batch.sizes(), len(labels_of(outputs))) == (0, [1], 1)
