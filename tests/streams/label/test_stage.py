"""The label stage, driven directly, with a real HTTP teacher: how each record ends."""

from __future__ import annotations

import pytest

from schemas import topics
from schemas.errors import DeadLetterReason
from schemas.records import (
    AnsweredBy,
    CuratedKind,
    CuratedRecord,
    DeadLetter,
    DiscardedRecord,
    DiscardReason,
    LabelKind,
    LabelRecord,
    Origin,
    Provenance,
)
from streams.label.metrics import OUTSIDE
from tests.streams.doubles import NAME, PARTITION, MemoryReader, curated, label, message
from tests.streams.label.staged import labels_of, process, stage
from tests.streams.label.teacher.server import body, completion, says, status


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
