"""One draw of the newswire that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.trial.simulate.traffic import PlantedRecord, TrafficPlan, traffic
from schemas.workload import Workload

PLAN = TrafficPlan(seed=7, records=6_000)


@pytest.fixture(scope="session")
def newswire() -> Workload:
    """The demo's workload."""
    return Workload.parse(Path("workloads/newswire.toml").read_bytes())


@pytest.fixture(scope="session")
def drawn(newswire: Workload) -> list[PlantedRecord]:
    """The demo's phase 1."""
    return list(traffic(PLAN, newswire))
