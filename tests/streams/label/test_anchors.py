"""Anchors in the label stage: always asked, always by the same question, and of use to nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.edge.process.settings import Settings
from schemas import topics
from schemas.records import CuratedKind, CuratedRecord, LabelKind, Provenance, Split
from streams.label.stage import LabelStage
from tests.streams.doubles import NAME, PARTITION, MemoryReader, curated, label, message
from tests.streams.label.staged import labels_of, process, stage
from tests.streams.label.teacher.server import says


def anchor(number: int, turn: int = 0, **fields: object) -> CuratedRecord:
    return curated(number, kind=CuratedKind.ANCHOR, cluster_id=f"anchor-{number}-{turn}", **fields)


async def test_anchor__is_asked_whatever_is_selected() -> None:
    """Selection never drops it, and its answer is no label: its kind says so, its cost is counted."""
    async with stage(select={"policy": "uniform", "train_share": 0.001, "evaluation_share": 0.001}) as (one, server):
        said = labels_of(await process(one, *(anchor(number) for number in range(20))))

    assert len(server.calls) == len(said) == 20
    assert {(each.kind, each.provenance, each.teacher_calls) for each in said} == {
        (LabelKind.ANCHOR, Provenance.TEACHER, 1)
    }


async def test_anchor__is_asked_by_the_same_question_each_round() -> None:
    """No examples, the codes in one order, no paraphrases: only the teacher can change the answer."""
    teacher, augment = {"examples": 3}, {"paraphrases": 2, "rows": 50}
    async with stage(teacher=teacher, augment=augment) as (one, server):
        taught: dict[str, Any] = {"provenance": Provenance.TEACHER, "split": Split.TRAIN, "text": "Company 1 reports"}
        known = [message(topics.LABELS, at, label(at, "other", **taught)) for at in range(9)]
        one.assign(PARTITION, MemoryReader({topics.LABELS: known}))
        await process(one, curated(99))
        assert server.calls.pop().prompt.count("<text>") == 4
        for turn in range(1, 4):
            (said,) = labels_of(await process(one, anchor(1, turn), start=turn))
            assert said.paraphrases == []

    assert len({call.prompt for call in server.calls}) == 1
    assert len(server.calls) == 3
    assert server.calls[0].prompt.count("<text>") == 1


async def test_anchor__does_not_take_the_label_of_real_records() -> None:
    """A record of the same text is a cluster of its own: neither's answer counts for the other."""
    async with stage(says("mergers"), says("other")) as (one, server):
        said = labels_of(await process(one, curated(1))), labels_of(await process(one, anchor(1), start=1))

    assert [each.label for (each,) in said] == ["mergers", "other"]
    assert len(server.calls) == 2


async def test_anchor__that_comes_again_costs_nothing() -> None:
    """After a restart in the middle of a round what was answered is known; the rest is asked."""
    async with stage(says("mergers")) as (one, server):
        first = labels_of(await process(one, anchor(1)))
        of = one._workloads[NAME]
        again = LabelStage(Settings(state_dir=Path("unused")), {NAME: of})
        again.assign(PARTITION, MemoryReader({topics.LABELS: [message(topics.LABELS, 0, first[0])]}))
        said = labels_of(await process(again, anchor(1), anchor(2), start=1))
        await again.close()

    assert [(each.kind, each.provenance) for each in said] == [
        (LabelKind.ANCHOR, Provenance.CLUSTER), (LabelKind.ANCHOR, Provenance.TEACHER),
    ]  # fmt: skip
    assert len(server.calls) == 2


async def test_answers__are_no_examples_and_teach_no_chooser() -> None:
    """What the teacher says of anchors is shown in no prompt, makes no class less rare and fits no small model."""
    async with stage(
        teacher={"examples": 2}, select={"policy": "active", "train_share": 0.5}, augment={"paraphrases": 1}
    ) as (one, server):
        await process(one, *(anchor(number) for number in range(5)))
        of = one._workloads[NAME]
        shown = one._examples.nearest(PARTITION, of, curated(7))
        rare = one._rare.rare(PARTITION, of, "mergers", curated(7).event_time)
        seen = one._chooser._seen.get((PARTITION, NAME))

    assert len(server.calls) == 5
    assert shown == ()
    assert rare
    assert seen is None or seen.count == len(seen.compared) == 0
