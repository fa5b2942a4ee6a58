"""Anchors asked again: when a round of them begins, which gold texts they are, and what goes on `curated`. Pure.

A round is a stretch of `anchor_hours`, counted from 1970 on, so that it is the same in every worker. An anchor keeps
its record id in all rounds, which links its answers, and has a new cluster in each: an answer of an earlier round is
never reused for a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from typing import Final, NamedTuple

from schemas.ids import digest
from schemas.records import CuratedKind, CuratedRecord, Origin
from schemas.rules.anchors import is_anchor, point
from schemas.sections.triggers import Triggers
from schemas.workload import Workload

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class GoldText(NamedTuple):
    """A text that people labelled, and a place in `gold` where it is."""

    text_key: str
    text: str
    origin: Origin


def due(triggers: Triggers, now: datetime, last: datetime | None) -> datetime | None:
    """Return when the current round began, if its anchors are still to be asked; else None.

    A clock that jumps back is in a round that was asked, or in an earlier one: nothing is due.
    """
    if triggers.teacher_drift is None:
        return None
    stretch = timedelta(hours=triggers.anchor_hours)
    begun = _START + (now - _START) // stretch * stretch
    return begun if last is None or begun > last else None


def chosen(workload: Workload, gold: Iterable[GoldText]) -> list[GoldText]:
    """Return the anchors of a round, each text once: as many as the workload wants, those with the least hashes."""
    found = {one.text_key: one for one in gold if is_anchor(workload.name, one.text_key)}
    return nsmallest(workload.triggers.anchors, found.values(), key=lambda one: point(workload.name, one.text_key))


def asked(workload: str, anchor: GoldText, begun: datetime) -> CuratedRecord:
    """Return an anchor as it goes to the teacher in the round that began then."""
    record_id = digest("anchor", workload, anchor.text_key)
    return CuratedRecord(
        record_id=record_id,
        workload=workload,
        origin=anchor.origin,
        event_time=begun,
        arrival_time=begun,
        text=anchor.text,
        text_key=anchor.text_key,
        cluster_id=digest("anchor-round", record_id, begun.isoformat()),
        kind=CuratedKind.ANCHOR,
        words=len(anchor.text.split()),
        characters=len(anchor.text),
    )
