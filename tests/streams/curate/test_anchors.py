"""Rounds of anchors in the curate stage: which texts, when, and that a round goes out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.edge.process.settings import Settings
from schemas.records import CuratedKind, CuratedRecord, Origin
from schemas.rules.anchors import is_anchor
from schemas.rules.partition import partition_of
from schemas.sections.intake import Caps
from schemas.sections.triggers import Triggers
from schemas.topics import CURATED, DISCARDED, PARTITIONS
from schemas.workload import Workload
from streams.core.residual import residual
from streams.core.stage import Message
from streams.curate import anchors
from streams.curate.anchors import GoldText
from streams.curate.stage import CurateStage
from tests.streams.curate.test_curate import traffic
from tests.streams.doubles import MemoryReader, message

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOME = partition_of("news", PARTITIONS)
DRIFT = Triggers(teacher_drift=0.1, anchors=20)


def gold_text(number: int) -> GoldText:
    place = Origin(topic="gold", partition=HOME, offset=number)
    return GoldText(f"key-{number}", f"Company {number} reports earnings above the forecast", place)


GOLD = [gold_text(number) for number in range(100)]


def stage(gold: Sequence[GoldText] = GOLD, curated: Sequence[Message] = (), **changes: Any) -> CurateStage:
    """Return a stage that has its partition, and has read `curated` back."""
    of = Workload(name="news", labels=["up", "down"], triggers=DRIFT).model_copy(update=changes)
    one = CurateStage(Settings(), {"news": of}, gold=lambda _: list(gold))
    one.assign(HOME, MemoryReader({CURATED: curated}))
    return one


async def asked(one: CurateStage, now: datetime, *, commit: bool = True) -> list[CuratedRecord]:
    """Let a second pass, and return the anchors that go out."""
    found = []
    for settlement in (await one.tick(now)).values():
        assert residual([], settlement.outputs) == 0
        (settlement.committed if commit else settlement.aborted)()
        found += [output.record for output in settlement.outputs]
    assert all(isinstance(record, CuratedRecord) for record in found)
    return found  # type: ignore[return-value]


def on_curated(records: Sequence[CuratedRecord]) -> list[Message]:
    return [message(CURATED, offset, record, HOME) for offset, record in enumerate(records)]


async def test_round__asks_the_anchors_with_the_least_hashes() -> None:
    """As many as are wanted, of the frozen half alone; each says its round and its place in gold."""
    found = await asked(stage(), NOON)
    keys = {record.text_key for record in found}
    more = await asked(stage(triggers=DRIFT.model_copy(update={"anchors": 25})), NOON)

    assert len(found) == len(keys) == 20
    assert all(is_anchor("news", key) for key in keys)
    assert keys < {record.text_key for record in more}
    assert {(record.kind, record.event_time, record.workload) for record in found} == {
        (CuratedKind.ANCHOR, NOON.replace(hour=0), "news")
    }
    assert all(record.text_key == f"key-{record.origin.offset}" and record.origin.topic == "gold" for record in found)


async def test_rounds__keep_the_record_and_not_the_cluster() -> None:
    """Its id links an anchor's answers; an answer of an earlier round is never reused for a new one."""
    one = stage()
    first, second = await asked(one, NOON), await asked(one, NOON + timedelta(hours=24))

    assert [record.record_id for record in first] == [record.record_id for record in second]
    assert not {record.cluster_id for record in first} & {record.cluster_id for record in second}


async def test_round__is_asked_once() -> None:
    """Not again in the same round, nor after a restart, nor where the clock jumps back."""
    one = stage()
    first = await asked(one, NOON)
    restarted = stage(curated=on_curated(first))

    for each in (one, restarted):
        assert await asked(each, NOON + timedelta(hours=11)) == []
        assert await asked(each, NOON - timedelta(days=400)) == []
        assert len(await asked(each, NOON + timedelta(hours=12))) == 20


async def test_round__that_was_not_committed_comes_again() -> None:
    """An aborted transaction asked nothing, so the round is still due, and is the same."""
    one = stage()
    dropped = await asked(one, NOON, commit=False)

    assert await asked(one, NOON) == dropped


async def test_teacher_drift__that_is_off_asks_nothing() -> None:
    """Without a limit nothing is read and nothing asked; nor before the partition is there."""

    def unread(_: str) -> list[GoldText]:
        raise AssertionError("gold was read")

    off = CurateStage(Settings(), {"news": Workload(name="news", labels=["up", "down"])}, gold=unread)
    off.assign(HOME, MemoryReader())
    nowhere = CurateStage(
        Settings(), {"news": Workload(name="news", labels=["up", "down"], triggers=DRIFT)}, gold=unread
    )

    assert await off.tick(NOON) == await nowhere.tick(NOON) == {}


async def test_gold__without_anchors_is_read_once_a_round() -> None:
    """Where people labelled nothing, a round asks nothing, and gold is looked at again with the next."""
    reads = []
    one = CurateStage(
        Settings(), {"news": Workload(name="news", labels=["up", "down"], triggers=DRIFT)},
        gold=lambda name: reads.append(name) or [],  # type: ignore[func-returns-value]
    )  # fmt: skip
    one.assign(HOME, MemoryReader())
    for hour in (0, 1, 2, 24):
        assert await asked(one, NOON + timedelta(hours=hour)) == []

    assert reads == ["news", "news"]


async def test_gold__that_was_erased_is_asked_no_more() -> None:
    """A running worker asks what is on gold when the round begins."""
    gold = list(GOLD)
    one = CurateStage(
        Settings(), {"news": Workload(name="news", labels=["up", "down"], triggers=DRIFT)}, gold=lambda _: gold
    )
    one.assign(HOME, MemoryReader())
    before = await asked(one, NOON)
    gold[:] = [text for text in gold if text.text_key != before[0].text_key]
    after = await asked(one, NOON + timedelta(days=1))

    assert before[0].text_key not in {record.text_key for record in after}
    assert len(after) == 20


async def test_anchors__are_no_traffic() -> None:
    """A text that was asked as an anchor comes through as the first of its kind, and takes no one's room."""
    one = stage(caps=Caps(source=1))
    anchor = (await asked(one, NOON))[0]
    rebuilt = stage(curated=on_curated([replace(anchor, text_key="other")]), caps=Caps(source=1))
    settlement = await rebuilt.process([traffic(1, anchor.text)])
    (output,) = settlement.outputs

    assert output.topic is not DISCARDED
    assert isinstance(output.record, CuratedRecord)
    assert output.record.kind is CuratedKind.RECORD


@given(st.floats(0.001, 720), st.integers(0, 10**9), st.integers(-(10**9), 10**9))
def test_due__only_forward(hours: float, seconds: int, later: int) -> None:
    """A round begins at or before now and less than its length ago; after it, only a later one is due."""
    triggers = Triggers(teacher_drift=0.1, anchor_hours=hours)
    now = NOON + timedelta(seconds=seconds)
    begun = anchors.due(triggers, now, None)

    assert begun is not None
    assert timedelta(0) <= now - begun < timedelta(hours=hours)
    again = anchors.due(triggers, now + timedelta(seconds=later), begun)
    assert again is None or (again > begun and later > 0)


@pytest.mark.parametrize("copies", [1, 3])
def test_chosen__each_text_once(copies: int) -> None:
    """A text that several people labelled is one anchor."""
    of = Workload(name="news", labels=["up", "down"], triggers=DRIFT)

    assert len(anchors.chosen(of, GOLD * copies)) == 20
