"""Machines of stand-in programs, on ports that are free, stopped at the end of each test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.infra.machine.machine import Machine, ReadyCallback
from deploy.infra.machine.programs import Program
from deploy.infra.machine.settings import MachineSettings
from deploy.infra.ports import TRIES, PortInUse, propose

STAND_IN = Path(__file__).parent / "stand_in.py"


def stand_in(name: str, *options: str) -> Program:
    (port,) = propose(1)
    command = (sys.executable, str(STAND_IN), str(port), *options)
    return Program(
        name=name,
        command=command,
        ports={f"MILLRACE_{name.upper()}_PORT": port},
        ready=f"http://127.0.0.1:{port}/readyz",
    )


class PatientMachine(Machine):
    """A machine of stand-ins that takes other ports while one is in use."""

    def start(self, ready: ReadyCallback = lambda *_: None) -> None:
        for _ in range(TRIES - 1):
            try:
                return super().start(ready)
            except PortInUse:
                self.programs = [elsewhere(program) for program in self.programs]
        return super().start(ready)


def elsewhere(program: Program) -> Program:
    if not program.ports:
        return program
    return stand_in(program.name, *program.command[3:])


Make = Callable[..., Machine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make machines of given programs; all of them are stopped at the end."""
    with ExitStack() as stack:

        def machine(*programs: Program, home: str = "m", **values: str) -> Machine:
            made = PatientMachine(tmp_path / home, MachineSettings.load_to_stay(**values), found=programs)
            stack.callback(made.stop)
            return made

        yield machine
