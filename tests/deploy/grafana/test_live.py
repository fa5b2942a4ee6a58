"""Every panel has data from a system that has gone once through the loop."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deploy.machine.machine import Machine
from tests.deploy.grafana.live import empty_panels

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Debian's package `prometheus` is not here"),
    pytest.mark.skipif(
        "MILLRACE_MACHINE_DIR" not in os.environ,
        reason="MILLRACE_MACHINE_DIR names no running machine (`millrace up`, or a demo that keeps running)",
    ),
]


def test_board__no_panel_is_empty(tmp_path: Path) -> None:
    """A real Prometheus that scrapes the running machine answers every query of the board with data."""
    machine = Machine.at(Path(os.environ["MILLRACE_MACHINE_DIR"]))

    assert empty_panels(machine, tmp_path) == []
