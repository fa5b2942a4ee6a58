"""The label stage, driven directly, with a real HTTP teacher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from deploy.edge.settings import Settings
from schemas import topics
from schemas.errors import DeadLetterReason
from schemas.records import (
    AnsweredBy,
    Ceiling,
    CuratedKind,
    CuratedRecord,
    DeadLetter,
    DiscardedRecord,
    DiscardReason,
    LabelKind,
    LabelRecord,
    Origin,
    Provenance,
    Split,
)
from streams.label import circuit, teacher
from streams.label.completion import VOTE_TEMPERATURE
from streams.label.metrics import OUTSIDE
from streams.label.stage import LabelStage
from streams.stage import Output, Settlement
from streams.transaction import WorkerFailed
from tests.streams.doubles import NAME, PARTITION, START, MemoryReader, curated, label, message, workload
from tests.streams.label.teacher_server import Act, Call, Server, body, completion, raw, says, status, teacher_server


@asynccontextmanager
async def stage(*acts: Act, **tables: Any) -> AsyncIterator[tuple[LabelStage, Server]]:
    async with teacher_server(*acts or (says("mergers"),)) as server:
        teacher = {"url": server.url, "attempts": 2, "may_train": True} | tables.pop("teacher", {})
        one = LabelStage(Settings(state_dir=Path("unused")), {NAME: workload(teacher=teacher, **tables)})
        try:
            yield one, server
        finally:
            await one.close()


async def process(one: LabelStage, *records: CuratedRecord | bytes, start: int = 0) -> Settlement:
    """Feed records as the source does, what is left as the head of the next batch, until all are settled."""
    messages = [message(topics.CURATED, start + at, each) for at, each in enumerate(records)]
    outputs: list[Output] = []
    while messages:
        settlement = await one.process(messages)
        settlement.committed()
        outputs += settlement.outputs
        messages = list(settlement.left)
    return Settlement(outputs)


def labels_of(settlement: Settlement) -> Sequence[LabelRecord]:
    return [output.record for output in settlement.outputs if isinstance(output.record, LabelRecord)]


async def test_record__without_answer() -> None:
    """The teacher is asked; the label carries its soft label, cost, model and place."""
    async with stage() as (one, server):
        (said,) = labels_of(await process(one, curated(7), start=40))

    assert (said.label, said.provenance, said.kind) == ("mergers", Provenance.TEACHER, LabelKind.LABEL)
    assert said.class_probabilities is not None
    assert sum(said.class_probabilities.values()) == pytest.approx(1)
    assert said.class_probabilities["mergers"] == pytest.approx(0.9)
    assert (said.teacher_calls, said.prompt_tokens, said.completion_tokens) == (1, 40, 1)
    assert (said.teacher_model, said.propensity) == ("teacher-7b", 1.0)
    assert said.origin == Origin(topic="curated", partition=PARTITION, offset=40)
    assert said.prompt_sha256
    assert server.calls[0].text == "Company 7 reports"


async def test_record__answered_by_the_teacher() -> None:
    """The teacher's own recorded answer is the label, and costs nothing."""
    async with stage() as (one, server):
        (said,) = labels_of(await process(one, curated(1, answer="Earnings", answered_by=AnsweredBy.TEACHER)))

    assert (said.label, said.provenance, said.teacher_calls) == ("earnings", Provenance.HARVEST, 0)
    assert server.calls == []


async def test_record__answer_outside_the_label_set() -> None:
    """A recorded answer that says no label is not harvested: the teacher is asked."""
    async with stage() as (one, _):
        (said,) = labels_of(await process(one, curated(1, answer="weather", answered_by=AnsweredBy.TEACHER)))

    assert said.provenance is Provenance.TEACHER


async def test_record__answered_by_a_student() -> None:
    """A student's answer is never learnt from: unaudited it is discarded, audited the teacher is asked."""
    async with stage(harvest={"models": ["student-1"]}) as (one, server):
        settlement = await process(
            one,
            curated(1, answer="earnings", answered_by=AnsweredBy.STUDENT, model="student-1"),
            curated(
                2,
                answer="earnings",
                answered_by=AnsweredBy.STUDENT,
                audit=True,
                propensity=0.05,
                student_label="earnings",
                student_version="v1",
            ),
        )

    ended, said = (output.record for output in settlement.outputs)
    assert isinstance(ended, DiscardedRecord)
    assert ended.reason is DiscardReason.ANSWERED_BY_STUDENT
    assert isinstance(said, LabelRecord)
    assert (said.label, said.audit, said.propensity) == ("mergers", True, 0.05)
    assert (said.student_label, said.student_version) == ("earnings", "v1")
    assert len(server.calls) == 1


async def test_vote__with_a_harvestable_answer() -> None:
    """A duplicate with an answer to learn from becomes a label of kind VOTE; without, it is discarded."""
    async with stage(harvest={"models": ["big"]}) as (one, server):
        settlement = await process(
            one,
            curated(1, kind=CuratedKind.VOTE, answer="earnings", model="big", duplicate_of="record-0"),
            curated(2, kind=CuratedKind.VOTE, answer="earnings", duplicate_of="record-0"),
        )

    said, ended = (output.record for output in settlement.outputs)
    assert isinstance(said, LabelRecord)
    assert (said.kind, said.label) == (LabelKind.VOTE, "earnings")
    assert isinstance(ended, DiscardedRecord)
    assert (ended.reason, ended.duplicate_of) == (DiscardReason.VOTE, "record-0")
    assert server.calls == []


async def test_audited_vote__cluster_has_a_label() -> None:
    """An audited duplicate takes its cluster's label, also one of the same batch or one read back; no call is made."""
    vote = {"kind": CuratedKind.VOTE, "audit": True, "cluster_id": "record-1"}
    async with stage() as (one, server):
        one.assign(PARTITION, MemoryReader({topics.LABELS: [message(topics.LABELS, 3, label(9, "other"))]}))
        said = labels_of(
            await process(one, curated(1), curated(2, **vote), curated(3, **vote | {"cluster_id": "record-9"}))
        )

    assert [(one.label, one.provenance) for one in said] == [
        ("mergers", Provenance.TEACHER), ("mergers", Provenance.CLUSTER), ("other", Provenance.CLUSTER),
    ]  # fmt: skip
    assert len(server.calls) == 1


async def test_audited_vote__cluster_has_no_label() -> None:
    """The first audited duplicate of an unlabelled cluster asks; the others of the batch take what it got."""
    vote = {"kind": CuratedKind.VOTE, "audit": True, "cluster_id": "gone"}
    async with stage() as (one, server):
        said = labels_of(await process(one, *(curated(n, **vote) for n in range(3))))

    assert [one.provenance for one in said] == [Provenance.TEACHER, Provenance.CLUSTER, Provenance.CLUSTER]
    assert len(server.calls) == 1


async def test_answer__outside_the_set_once() -> None:
    """A second prompt in plain words follows an answer outside the set; both calls are on the bill."""
    async with stage(body(completion("I think it rains")), says("mergers")) as (one, server):
        (said,) = labels_of(await process(one, curated(1)))

    assert (said.label, said.teacher_calls, said.prompt_tokens, said.class_probabilities) == ("mergers", 2, 80, None)
    assert server.calls[0].codes
    assert not server.calls[1].codes


async def test_answer__outside_the_set_twice() -> None:
    """An answer outside the set, twice, is a dead letter; the rest of the batch is labelled."""
    nonsense = body(completion("I think it rains"))
    async with stage(nonsense, nonsense, says("mergers"), teacher={"concurrency": 1}) as (one, _):
        settlement = await process(one, curated(1), curated(2, answer="other", answered_by=AnsweredBy.TEACHER))

    letter, said = (output.record for output in settlement.outputs)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.record_id) == (DeadLetterReason.UNKNOWN_LABEL, "record-1")
    assert isinstance(said, LabelRecord)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff\xff", DeadLetterReason.BAD_ENCODING),
        (b"", DeadLetterReason.BAD_ENCODING),
        (curated(1, workload="gone"), DeadLetterReason.UNKNOWN_WORKLOAD),
    ],
)
async def test_message__cannot_be_labelled(value: CuratedRecord | bytes, reason: DeadLetterReason) -> None:
    """Bytes that are no curated record and records of an unknown workload are dead letters with their reason."""
    async with stage() as (one, _):
        (output,) = (await process(one, value)).outputs

    assert isinstance(output.record, DeadLetter)
    assert output.record.reason == reason
    assert output.record.record_id == (None if isinstance(value, bytes) else value.record_id)


async def test_poison__says_the_id_of_the_record_where_it_can_be_read() -> None:
    """Our own failure on a record names it; on bytes that are none it names nobody."""
    async with stage() as (one, _):
        letters = [one.poison(message(topics.CURATED, 1, value), ValueError(), 3).outputs[0].record
                   for value in (curated(1), b"junk")]  # fmt: skip

    assert [letter.record_id for letter in letters if isinstance(letter, DeadLetter)] == ["record-1", None]


async def test_batch__refused_record() -> None:
    """A record that the endpoint refuses is a dead letter and holds nobody up."""
    async with stage(status(400), says("mergers"), teacher={"concurrency": 1}) as (one, _):
        settlement = await process(one, curated(1), curated(2))

    reasons = [getattr(output.record, "reason", None) for output in settlement.outputs]
    assert sorted(map(str, reasons)) == ["None", "teacher_refused"]


async def test_batch__every_record_ends_once_and_in_order() -> None:
    """Whatever a batch holds, each message has exactly one ending, in the order of the batch."""
    kinds: list[CuratedRecord | bytes] = [
        curated(0), b"junk", curated(2, kind=CuratedKind.VOTE), curated(3, answered_by=AnsweredBy.STUDENT),
        curated(4, kind=CuratedKind.VOTE, audit=True, cluster_id="record-0"), curated(5, workload="gone"),
    ]  # fmt: skip
    async with stage() as (one, _):
        settlement = await process(one, *kinds * 20)

    origins = [output.record.origin.offset for output in settlement.outputs]  # type: ignore[attr-defined]
    assert origins == list(range(len(kinds) * 20))


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
    """A slow call holds back what stands behind it in its partition, and nothing else; new records join the calls."""
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
        with pytest.raises(WorkerFailed, match="name the environment variable"):
            await process(one, *(curated(n) for n in range(3)))


UNIFORM = {"policy": "uniform", "train_share": 0.3, "evaluation_share": 0.6}


async def test_selection__every_record_is_labelled_or_says_why_not() -> None:
    """Chosen records carry reason and propensity; the others are discarded with theirs, and cost no call."""
    async with stage(select=UNIFORM) as (one, server):
        settlement = await process(one, *(curated(n) for n in range(200)))

    said = labels_of(settlement)
    ended = [output.record for output in settlement.outputs if isinstance(output.record, DiscardedRecord)]
    assert len(said) + len(ended) == 200
    assert len(server.calls) == len(said)
    assert {(record.split is Split.TRAIN, record.selection_reason, record.propensity) for record in said} == {
        (True, "uniform", 0.3), (False, "evaluation", 0.6),
    }  # fmt: skip
    assert {record.reason for record in ended} == {DiscardReason.NOT_SELECTED}
    assert ended[0].detail.startswith(("uniform: drew 0.", "evaluation: drew 0."))
    assert 150 < sum(1 / record.propensity for record in said) < 250


async def test_selection__decides_the_same_again() -> None:
    """A record is chosen or not by its id, whatever else is in its batch."""
    async with stage(select=UNIFORM) as (one, _):
        together = labels_of(await process(one, *(curated(n) for n in range(20))))
        alone = [said for n in range(20) for said in labels_of(await process(one, curated(n)))]

    assert [said.record_id for said in together] == [said.record_id for said in alone]


async def test_selection__leaves_audits_and_recorded_answers_alone() -> None:
    """A recorded answer costs nothing and an audit was drawn before: both always become labels, as before."""
    least = {"policy": "uniform", "train_share": 1e-9, "evaluation_share": 1e-9}
    async with stage(select=least) as (one, _):
        harvest, audit, ended = (
            await process(
                one,
                curated(1, answer="earnings", answered_by=AnsweredBy.TEACHER),
                curated(2, answered_by=AnsweredBy.STUDENT, answer="other", audit=True, propensity=0.05),
                curated(3),
            )
        ).outputs

    assert isinstance(harvest.record, LabelRecord)
    assert isinstance(audit.record, LabelRecord)
    assert (harvest.record.propensity, audit.record.propensity) == (1.0, 0.05)
    assert isinstance(ended.record, DiscardedRecord)


async def test_selection__active_learns_from_labels_read_back() -> None:
    """After an assignment the stage chooses with the model that the partition's labels teach."""
    names = ("earnings", "mergers", "other")
    known = [label(n, names[n % 3], text=f"Company {n} {names[n % 3]}") for n in range(300)]
    async with stage(select={"policy": "active", "train_share": 0.2}) as (one, _):
        one.assign(
            PARTITION, MemoryReader({topics.LABELS: [message(topics.LABELS, n, o) for n, o in enumerate(known)]})
        )
        said = labels_of(await process(one, *(curated(n) for n in range(400, 500))))

    assert "unsure" in {record.selection_reason for record in said}


PRICE = {"prompt_per_million": 1_000.0, "completion_per_million": 1_000.0}  # 0.041 a call of the server's


async def settle(one: LabelStage, *numbers: int) -> Settlement:
    """Feed records once, and let what is finished be settled."""
    settlement = await one.process([message(topics.CURATED, n, curated(n)) for n in numbers])
    settlement.committed()
    return settlement


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
    """The pause is told once, with the field, the limit and its end, however often the stage looks."""
    async with stage(teacher={"budget": {"day": {"calls": 1}}, "concurrency": 1}) as (one, _):
        left = (await settle(one, 0, 1)).left
        for _ in range(2):
            await one.process(left)
            await one.tick(START)

    told = [record.getMessage() for record in caplog.records if "is spent" in record.getMessage()]
    assert len(told) == 1
    assert "teacher.budget.day.calls = 1 is spent (1); labelling pauses until" in told[0]


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
    monkeypatch.setattr(teacher, "_FIRST_JITTER_SECONDS", 0.001)
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


@pytest.mark.parametrize(("aliases", "ends"), [({}, "unknown_label"), ({"übernahmen": "mergers"}, "mergers")])
async def test_answer__in_another_language(aliases: dict[str, str], ends: str) -> None:
    """A teacher that answers in its own words is asked again and then a dead letter; an alias makes it understood."""
    async with stage(body(completion("Klasse: Übernahmen.")), aliases=aliases) as (one, server):
        (output,) = (await process(one, curated(1))).outputs

    assert getattr(output.record, "label", None) == ends or getattr(output.record, "reason", None) == ends
    assert len(server.calls) == (1 if aliases else 2)


async def test_label_set__that_changes() -> None:
    """A label that is no longer in the set is no hit, and a recorded answer that says it is counted as outside."""
    before = OUTSIDE.labels(NAME)._value.get()
    async with stage(labels=["mergers", "other"]) as (one, server):
        gone = message(topics.LABELS, 0, label(1, "earnings", prompt_sha256="x", teacher_model="teacher-7b"))
        one.assign(PARTITION, MemoryReader({topics.LABELS: [gone]}))
        said = labels_of(
            await process(
                one,
                curated(2, cluster_id="record-1"),
                curated(3, answer="earnings", answered_by=AnsweredBy.TEACHER),
            )
        )

    assert [(record.label, record.provenance) for record in said] == [("mergers", Provenance.TEACHER)] * 2
    assert len(server.calls) == 2
    assert OUTSIDE.labels(NAME)._value.get() - before == 1
