"""How requests, runs and labels change a workload's standing. Pure: the same after a restart as without."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from schemas.events import RetrainRequest, RunState, TrainingRun
from schemas.records import LabelKind, LabelRecord
from schemas.workload import Workload
from streams.triggers import watch
from streams.triggers.policy import Standing

ENDED: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})


def with_label(
    standing: Standing, record: LabelRecord, appended: datetime, workload: Workload | None = None
) -> Standing:
    """Count a label and let the workload's triggers see it; votes and erasures are not counted, anchors only seen."""
    if record.kind not in (LabelKind.LABEL, LabelKind.ANCHOR):
        return standing
    watched = standing.watch if workload is None else watch.with_label(standing.watch, workload, record)
    if record.kind is LabelKind.ANCHOR:
        return standing if watched is standing.watch else replace(standing, watch=watched)
    return replace(standing, new_labels=standing.new_labels + 1, since=standing.since or appended, watch=watched)


def with_past_label(standing: Standing, record: LabelRecord, workload: Workload | None) -> Standing:
    """Let the triggers see a label of the epoch before the last request: what later ones are compared with."""
    if workload is None:
        return standing
    return replace(standing, watch=watch.with_past_label(standing.watch, workload, record))


def with_request(standing: Standing, request: RetrainRequest) -> Standing:
    """Begin a new epoch: its run is in flight, and the labels below its offset are spent."""
    if request.epoch <= standing.epoch:
        return standing
    return Standing(
        epoch=request.epoch,
        since=request.time,
        in_flight=request.request_id,
        requested_at=(*standing.requested_at, request.labels_offset),
        watch=standing.watch.turned(),
    )


def with_run(standing: Standing, run: TrainingRun) -> Standing:
    """Note that the run of the request in flight has ended."""
    if run.state not in ENDED or run.request_id != standing.in_flight:
        return standing
    return replace(standing, in_flight=None)
