"""Shows the triggers' verdicts: gauges, one file per workload, and a line in the log when a retrain is suggested.

Updated about once a second; a workload's verdicts are made again where its standing changed, else every half minute,
since ages and cooldowns change by themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from schemas.trigger_board import TriggerBoard, board_file
from schemas.workload import Workload
from streams.triggers import metrics, policy
from streams.triggers.policy import Standing

LOG: Final = logging.getLogger("millrace.triggers")
_AGAIN: Final = timedelta(seconds=30)

WorkloadKey = tuple[int, str]  # partition, workload


class Board:
    """The boards of one worker's workloads."""

    def __init__(self, state_dir: Path, workloads: Mapping[str, Workload]) -> None:
        self._state_dir = state_dir
        self._workloads = workloads
        self._shown: dict[WorkloadKey, tuple[Standing, datetime]] = {}
        self._gauges: dict[WorkloadKey, set[str]] = {}
        self._suggested: dict[WorkloadKey, int] = {}  # the epoch a suggestion came after

    def update(self, standings: Mapping[WorkloadKey, Standing], now: datetime) -> None:
        """Bring gauges and files up to date."""
        for place, standing in list(standings.items()):
            shown = self._shown.get(place)
            if place[1] in self._workloads and (
                shown is None or shown[0] is not standing or not timedelta(0) <= now - shown[1] < _AGAIN
            ):
                self._shown[place] = (standing, now)
                self._show(place, standing, now)

    def forget(self, partition: int) -> None:
        """Stop showing a partition's workloads: another worker does."""
        for place in [place for place in self._shown if place[0] == partition]:
            del self._shown[place]
            self._suggested.pop(place, None)
            for trigger in self._gauges.pop(place, set()):
                for gauge in (metrics.STATISTIC, metrics.THRESHOLD, metrics.FIRES):
                    gauge.remove(place[1], trigger)
            metrics.SUGGESTED.remove(place[1])
            board_file(self._state_dir, place[1]).unlink(missing_ok=True)

    def _show(self, place: WorkloadKey, standing: Standing, now: datetime) -> None:
        workload = self._workloads[place[1]]
        board = board_of(standing, workload, now)
        names = self._gauges.setdefault(place, set())
        for verdict in board.verdicts:
            statistic = verdict.numbers.get("statistic", verdict.numbers.get("hours", verdict.numbers.get("labels")))
            names.add(verdict.trigger)
            metrics.STATISTIC.labels(workload.name, verdict.trigger).set(statistic or 0.0)
            metrics.THRESHOLD.labels(workload.name, verdict.trigger).set(verdict.numbers.get("threshold", float("nan")))
            metrics.FIRES.labels(workload.name, verdict.trigger).set(verdict.fired)
        self._suggest(place, standing, workload, board, now)
        _write(board_file(self._state_dir, workload.name), board.to_json())

    def _suggest(
        self, place: WorkloadKey, standing: Standing, workload: Workload, board: TriggerBoard, now: datetime
    ) -> None:
        free = policy.waits_for(standing, now, workload.triggers, may_train=workload.teacher.may_train) is None
        suggested = workload.triggers.mode == "suggest" and board.asks is not None and free
        metrics.SUGGESTED.labels(workload.name).set(suggested)
        if suggested and self._suggested.get(place) != standing.epoch:
            self._suggested[place] = standing.epoch
            why = " ".join(verdict.explanation for verdict in board.verdicts if verdict.fired)
            LOG.warning('%s: a retrain is suggested: %s mode = "auto" asks for it.', workload.name, why)


def board_of(standing: Standing, workload: Workload, now: datetime) -> TriggerBoard:
    """Return the board of a workload's triggers. Pure."""
    triggers = workload.triggers
    verdicts = policy.verdicts(standing, workload, now)
    asks = policy.asking(verdicts, triggers)
    return TriggerBoard(
        workload=workload.name,
        time=now,
        epoch=standing.epoch,
        new_labels=standing.new_labels,
        mode=triggers.mode,
        rule=triggers.rule,
        asks=asks.trigger if asks else None,
        held_back=policy.held_back(standing, now, triggers, may_train=workload.teacher.may_train),
        verdicts=verdicts,
    )


def _write(file: Path, text: str) -> None:
    """Replace the file as a whole; if the disk takes nothing, people lose a view and the stream goes on."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        LOG.warning("%s: not written: %s", file, error)
