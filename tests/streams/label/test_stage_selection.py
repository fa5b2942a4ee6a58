"""The label stage and selection: which records are asked about."""

from __future__ import annotations

from schemas import topics
from schemas.records import (
    AnsweredBy,
    DiscardedRecord,
    DiscardReason,
    LabelRecord,
    Split,
)
from tests.streams.doubles import PARTITION, MemoryReader, curated, label, message
from tests.streams.label.staged import labels_of, process, stage

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
