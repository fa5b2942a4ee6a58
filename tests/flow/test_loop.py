"""From the first record to the promoted student, as the demo plays it, with every process real."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.trial.demo.chaos import Chaos
from deploy.trial.demo.play import Playground, finish, phase_one, phase_two, training
from deploy.trial.report.inputs import Summary
from tests.deploy.infra.grafana.live import empty_panels
from tests.flow.conftest import Play

pytestmark = [pytest.mark.broker, pytest.mark.flow]


def go_round(stage: Playground) -> list[str]:
    """Play up to the end of the rollout."""
    phase_one(stage)
    training(stage)
    return phase_two(stage)


def the_loop_is_whole(summary: Summary) -> None:
    """Hold a summary against what was planted and what must come of it."""
    assert summary.residual == 0
    assert summary.dead_letters.found == summary.dead_letters.planted > 0
    assert summary.duplicates.found >= 0.95 * summary.duplicates.planted
    assert summary.near_duplicates.found >= 0.95 * summary.near_duplicates.planted
    assert summary.pii.redacted == summary.pii.planted > 0
    assert summary.gate.decision == "promote"
    assert summary.rollout.final_state == "promoted"
    assert summary.champion == summary.promotion.model_version


def test_loop__ends_promoted_with_every_record_accounted_for(play: Play, tmp_path: Path) -> None:
    """Traffic becomes a student in production, nothing is lost or leaked, and no panel of the board stays empty."""
    with play() as stage:
        notes = go_round(stage)
        if shutil.which("prometheus"):
            assert empty_panels(stage.machine, tmp_path) == []
        summary = finish(stage, notes)

        assert (stage.home / "report.html").stat().st_size > 10_000
    the_loop_is_whole(summary)


@pytest.mark.faults
def test_loop__survives_a_kill_of_each_process(play: Play) -> None:
    """Worker, dispatcher, recipe, student server and router die once each at work, and the loop ends the same."""
    with play() as stage:
        killer = Chaos(stage.machine, stage.observer)
        killer.start()
        summary = finish(stage, go_round(stage))

    assert [hit for hit in killer.hits if "not hit" in hit] == []
    assert len(killer.hits) == 5
    the_loop_is_whole(summary)
