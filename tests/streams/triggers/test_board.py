"""The board: what the worker shows of its triggers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from schemas.trigger_board import TriggerBoard, board_file
from streams.triggers.board import Board, board_of
from streams.triggers.policy import Standing
from tests.streams.doubles import NAME, PARTITION
from tests.streams.triggers.samples import folded, stream, watching

NOW = datetime(2026, 1, 10, tzinfo=UTC)
PLACE = (PARTITION, NAME)


def read(folder: Path) -> TriggerBoard:
    return TriggerBoard.from_json(board_file(folder, NAME).read_text())


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"millrace_{name}", {"workload": NAME} | labels)


def test_board__survives_its_file() -> None:
    """What is written is what is read, numbers and all."""
    of = watching(label_mix=0.2)
    board = board_of(Standing(epoch=3, watch=folded(of, stream(1, 90), folded(of, stream(2, 90)).turned())), of, NOW)

    assert TriggerBoard.from_json(board.to_json()) == board
    assert board.verdicts[-1].numbers["look"] == 3


def test_board__is_told_when_a_standing_changes_or_half_a_minute_passed(tmp_path: Path) -> None:
    """A standing that is the same is not shown again at once, one that changed is."""
    board, standing = Board(tmp_path, {NAME: watching(count=10)}), Standing(new_labels=4)
    board.update({PLACE: standing}, NOW)
    board.update({PLACE: standing}, NOW + timedelta(seconds=29))
    assert read(tmp_path).time == NOW

    board.update({PLACE: standing}, NOW + timedelta(seconds=30))
    assert read(tmp_path).time == NOW + timedelta(seconds=30)
    board.update({PLACE: Standing(new_labels=12)}, NOW + timedelta(seconds=31))
    assert (read(tmp_path).asks, read(tmp_path).held_back) == ("count", None)


def test_gauges__statistic_over_threshold(tmp_path: Path) -> None:
    """Each trigger's statistic and threshold are gauges; a partition that leaves takes them and the file along."""
    board = Board(tmp_path, {NAME: watching(count=10)})
    board.update({PLACE: Standing(new_labels=4)}, NOW)
    assert (gauge("trigger_statistic", trigger="count"), gauge("trigger_threshold", trigger="count")) == (4.0, 10.0)
    assert gauge("trigger_fires", trigger="count") == 0.0

    board.forget(PARTITION)
    assert gauge("trigger_statistic", trigger="count") is None
    assert not board_file(tmp_path, NAME).exists()


def test_suggestion__is_logged_once_an_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In mode suggest a retrain that is due is one line in the log and a gauge, and no more until the next epoch."""
    board = Board(tmp_path, {NAME: watching(count=10, mode="suggest")})
    with caplog.at_level(logging.WARNING, "millrace.triggers"):
        for labels in (9, 10, 11):
            board.update({PLACE: Standing(new_labels=labels)}, NOW)

    assert gauge("retrain_suggested") == 1.0
    (line,) = [record.message for record in caplog.records]
    assert line.startswith("news: a retrain is suggested: 10 new labels since the last request reach")


def test_disk__that_takes_nothing(tmp_path: Path) -> None:
    """The view is lost, the worker goes on."""
    (tmp_path / "triggers").write_text("in the way")
    Board(tmp_path, {NAME: watching(count=10)}).update({PLACE: Standing()}, NOW)

    assert gauge("trigger_statistic", trigger="count") == 0.0
