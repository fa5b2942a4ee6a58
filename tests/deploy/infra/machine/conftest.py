"""Machines of stand-in programs, on free ports, stopped at the end of each test."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.infra.machine.machine import Machine
from deploy.infra.machine.programs import Program
from deploy.infra.machine.settings import MachineSettings

STAND_IN = Path(__file__).parent / "stand_in.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stand_in(name: str, *options: str) -> Program:
    port = free_port()
    command = (sys.executable, str(STAND_IN), str(port), *options)
    return Program(
        name=name,
        command=command,
        ports={f"MILLRACE_{name.upper()}_PORT": port},
        ready=f"http://127.0.0.1:{port}/readyz",
    )


Make = Callable[..., Machine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make machines of given programs; all of them are stopped at the end."""
    with ExitStack() as stack:

        def machine(*programs: Program, home: str = "m", **values: str) -> Machine:
            made = Machine(tmp_path / home, MachineSettings.load_to_stay(**values), found=programs)
            stack.callback(made.stop)
            return made

        yield machine
