"""Triggers in the window stage: where they fire, what holds them back, and that a restart changes neither."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from schemas import topics
from schemas.events import RetrainRequest, RunState
from schemas.records import LabelKind, LabelRecord, Provenance
from schemas.trigger_board import TriggerBoard, board_file
from tests.streams.doubles import NAME, PARTITION, START, label
from tests.streams.triggers.samples import stream
from tests.streams.window.test_stage import Rig, manifest_of, requests_of

ALL = {"count": 400, "least_rows": 5, "label_mix": 0.2, "input_drift": 0.05, "disagreement": 0.1}
SHIFTED = (0.1, 0.1, 0.8)


def shifting() -> list[LabelRecord]:
    """400 labels, which the count asks for, then 300 whose mix is another."""
    return stream(1, 400) + stream(2, 300, SHIFTED, first=400)


async def fed(rig: Rig, records: list[LabelRecord], batch: int = 1_000) -> list[RetrainRequest]:
    new, found = rig.put(topics.LABELS, *records), []
    for at in range(0, len(new), batch):
        found += await rig.feed(new[at : at + batch])
    return found


async def test_shift__fires_between_two_counts(tmp_path: Path) -> None:
    """A new label mix asks at a look, long before the count would; the job says what was measured."""
    rig = Rig(tmp_path, triggers=ALL)
    (first,) = await fed(rig, shifting()[:400])
    assert first.trigger == "count"
    await rig.run_ends(1)
    (request,) = await fed(rig, shifting()[400:])

    verdicts = {verdict.trigger: verdict for verdict in request.verdicts}
    assert (request.trigger, request.epoch) == ("label-mix", 2)
    assert request.labels_offset in {2 * (400 + size - 1) + 1 for size in (50, 63, 79, 98)}
    assert not verdicts["count"].fired
    assert verdicts["label-mix"].numbers["statistic"] >= verdicts["label-mix"].numbers["threshold"]
    assert verdicts["enough"].fired


@pytest.mark.slow
@pytest.mark.parametrize("lose_state", [False, True])
async def test_shift__however_batches_and_restarts_fall(tmp_path: Path, lose_state: bool) -> None:
    """The triggers fire at the same labels with the same snapshots, whatever the batches and wherever it restarts."""
    found = set()
    for seed in range(4):
        chance, rig = random.Random(seed), Rig(tmp_path / str(seed), triggers=ALL)
        requests = []
        for part in (shifting()[:400], shifting()[400:]):
            new, at = rig.put(topics.LABELS, *part), 0
            while at < len(new):
                size = chance.randint(1, 170)
                requests += await rig.feed(new[at : at + size])
                at += size
                if seed:
                    await rig.restarted(lose_state=lose_state)
            requests += await rig.run_ends(len(requests))
        found.add(tuple((r.trigger, r.labels_offset, r.snapshot_sha256, repr(r.verdicts)) for r in requests))
        await rig.stage.close()

    assert len(found) == 1
    assert len(next(iter(found))) == 2


async def test_several__are_one_request_that_names_them_all(tmp_path: Path) -> None:
    """What fires while a run is in flight is one request when it ends, with the verdicts of all that fired."""
    rig = Rig(tmp_path, triggers=ALL | {"count": 200})
    records = stream(1, 200) + [
        label(n, "other", text=f"Company {n} faces tariffs", audit=True, student_label="mergers", student_version="v1")
        for n in range(200, 420)
    ]
    assert len(await fed(rig, records)) == 1
    (request,) = await rig.run_ends(1)

    fired = {verdict.trigger for verdict in request.verdicts if verdict.fired}
    assert fired == {"count", "label-mix", "input-drift", "disagreement", "enough"}
    assert request.trigger == "count"


async def test_class_count__of_a_rare_class(tmp_path: Path) -> None:
    """The request comes at the label that gives the class its number."""
    rig = Rig(tmp_path, triggers={"count": 1_000, "least_rows": 5, "class_counts": {"mergers": 8}})
    records = [label(n, "mergers" if n % 5 == 0 else "other") for n in range(60)]
    (request,) = await fed(rig, records)

    assert (request.trigger, request.labels_offset) == ("class-count", 2 * 35 + 1)


async def test_calendar__holds_a_crossing_back_until_it_thaws(tmp_path: Path) -> None:
    """On a frozen day nothing is asked for; the first tick of the next day asks."""
    rig = Rig(tmp_path, triggers={"count": 40, "least_rows": 5, "freeze": ["2026-01-01"]})
    assert await rig.labels(0, 60) == []
    assert await rig.stage.tick(START + timedelta(hours=23)) == {}

    (request,) = requests_of((await rig.stage.tick(START + timedelta(hours=24)))[PARTITION])
    assert (request.trigger, manifest_of(request).rows) == ("count", 60)


async def test_run__that_never_ends(tmp_path: Path) -> None:
    """After max_run_age_hours a run no longer holds the next request back."""
    rig = Rig(tmp_path, triggers={"count": 40, "least_rows": 5, "max_run_age_hours": 5.0})
    assert len(await rig.labels(0, 90)) == 1
    assert await rig.stage.tick(START + timedelta(hours=4)) == {}

    (request,) = requests_of((await rig.stage.tick(START + timedelta(hours=6)))[PARTITION])
    assert request.epoch == 2


@pytest.mark.parametrize("mode", ["observe", "suggest"])
async def test_mode__that_asks_for_nothing(tmp_path: Path, mode: str) -> None:
    """Nothing is asked for, and the verdicts are shown all the same."""
    rig = Rig(tmp_path, triggers={"count": 40, "least_rows": 5, "mode": mode})
    assert await rig.labels(0, 90) == []
    assert await rig.stage.tick(START + timedelta(hours=1)) == {}

    board = TriggerBoard.from_json(board_file(rig.folder / "state", NAME).read_text())
    assert (board.asks, board.new_labels) == ("count", 90)
    assert board.held_back is not None
    assert mode in board.held_back


async def test_cost__of_a_retrain_that_does_not_pay(tmp_path: Path) -> None:
    """A crossing whose student would mend too little asks for nothing; when more goes wrong, it does."""
    prices = {"run": 100.0, "answer": 0.01, "requests_per_day": 1_000, "days": 30}
    rig = Rig(tmp_path, triggers={"count": 40, "least_rows": 5, "disagreement": 0.1, "cost": prices})

    def audited(first: int, wrong: int) -> list[LabelRecord]:
        return [
            label(n, ("earnings", "mergers", "other")[n % 3], audit=True, student_version="v1",
                  student_label="gone" if n % 10 < wrong else ("earnings", "mergers", "other")[n % 3])
            for n in range(first, first + 40)
        ]  # fmt: skip

    assert await fed(rig, audited(0, 1)) == []
    requests = [request for start in (40, 80, 120) for request in await fed(rig, audited(start, 9))]

    (request,) = requests
    worth = next(verdict for verdict in request.verdicts if verdict.trigger == "cost")
    assert worth.numbers["statistic"] >= worth.numbers["threshold"] == 100.0


def answers(turn: int, changed: int = 0) -> list[LabelRecord]:
    """Return a round's answers on 40 anchors, of which the first so many are another label."""
    return [
        label(n, "mergers" if n < changed else "other", kind=LabelKind.ANCHOR, record_id=f"anchor-{n}",
              cluster_id=f"anchor-{n}-{turn}", event_time=START + timedelta(days=turn), provenance=Provenance.TEACHER)
        for n in range(40)
    ]  # fmt: skip


async def test_teacher_drift__asks_at_the_answer_that_proves_it(tmp_path: Path) -> None:
    """A swapped teacher fires it, restarts or not; anchors are no rows, and no labels that are counted."""
    found = set()
    for restarts in ("none", "kept", "lost"):
        rig = Rig(tmp_path / restarts, triggers={"count": 40, "least_rows": 5, "teacher_drift": 0.1})
        requests = await fed(rig, answers(0) + stream(1, 40))
        await rig.run_ends(1)
        rest = answers(1, changed=3) + stream(2, 20, first=40) + answers(2, changed=20)
        for start, end in pairwise((0, len(rest)) if restarts == "none" else (0, 5, 45, 75, len(rest))):
            requests += await fed(rig, rest[start:end])
            if restarts != "none":
                await rig.restarted(lose_state=restarts == "lost")
        found.add(tuple((r.trigger, r.labels_offset, r.rows, r.snapshot_sha256, repr(r.verdicts)) for r in requests))
        rows = rig.stage._store.query("SELECT count(*) FROM rows")
        await rig.stage.close()

    (one,) = found
    assert [request[:3] for request in one] == [("count", 2 * 79 + 1, 40), ("teacher-drift", 2 * 150 + 1, 60)]
    assert rows == [(60,)]


async def test_run_that_ends__with_nothing_due(tmp_path: Path) -> None:
    """The end of a run asks for nothing by itself."""
    rig = Rig(tmp_path, triggers=ALL | {"count": 40})
    assert len(await rig.labels(0, 50)) == 1

    assert await rig.run_ends(1, RunState.FAILED) == []
