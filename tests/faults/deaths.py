"""Workers that kill themselves at a chosen step (killed.py), and the proof that they did."""

from __future__ import annotations

import signal

from deploy.edge.process.settings import Settings
from tests.faults.conftest import Note
from tests.faults.workers import Worker, until


def doomed(settings: Settings, stage: str, moment: str, number: int, stages: str) -> Worker:
    """Start a worker that kills itself."""
    return Worker(settings, 0, stages, program=("tests.faults.killed", stage, moment, str(number)))


def await_death(worker: Worker, note: Note) -> None:
    """Wait until the worker has killed itself, and note what it was doing."""
    until(lambda: worker.process.poll() is not None, 60, "the worker dies", worker)
    assert worker.process.returncode == -signal.SIGKILL, worker.log.read_text()[-3000:]
    proof = worker.said("killed with process")
    assert proof is not None
    assert str(worker.process.pid) in proof
    note(proof)
