"""The programs of one machine in the order of their start: what is started, on which ports, and what tells it is ready.

Pure: settings in, programs out. Starts nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deploy.infra.machine.settings import MachineSettings

MISTAKE: Final = 2  # exit code of a program that was told something it cannot use: a restart does not mend that
BROKER: Final = "broker"
CONTROLLER: Final = "MILLRACE_BROKER_PORT + 1"  # where the embedded broker keeps its controller
TOPICS: Final = "topics"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process of the machine."""

    name: str
    command: tuple[str, ...]
    ports: dict[str, int] = field(default_factory=dict)  # the variable that sets it -> port
    ready: str | None = None  # a URL that answers 200; None: the broker's metadata, or running, is enough
    environment: dict[str, str] = field(default_factory=dict)
    stop_seconds: int = 10  # from SIGTERM to SIGKILL
    once: bool = False  # runs to its end before the next one starts

    @property
    def port(self) -> int | None:
        """The port that people know the process by."""
        return next(iter(self.ports.values()), None)


def programs(settings: MachineSettings, teacher: Sequence[str] | None, home: Path) -> list[Program]:
    """Return what runs here in the order of its start; `teacher` holds the stand-in's options, None: none runs."""
    # These need no Kafka and import longest, so they go first and get ready while the broker starts.
    found = [_students(settings)] if teacher is None else [_teacher(settings, teacher), _students(settings)]
    if settings.own_broker:
        found.append(_broker(settings, home))
    found.append(Program(name=TOPICS, command=_python("deploy.infra.kafka", "topics", "apply"), once=True))
    return [*found, _worker(settings), _dispatcher(settings), _router(settings)]


def _broker(settings: MachineSettings, home: Path) -> Program:
    port = settings.broker_port
    options = ("--foreground", "--home", str(home / "kafka"), "--port", str(port))
    command = _python("deploy.infra.kafka", "kafka", "start", *options)
    ports = {"MILLRACE_BROKER_PORT": port, CONTROLLER: port + 1}
    return Program(name=BROKER, command=command, ports=ports, stop_seconds=30)


def _teacher(settings: MachineSettings, options: Sequence[str]) -> Program:
    return _served("teacher", "deploy.serve.practice_teacher", "MILLRACE_TEACHER_PORT", settings.teacher_port, *options)


def _students(settings: MachineSettings) -> Program:
    program = _served("students", "deploy.serve.students", "MILLRACE_STUDENT_PORT", settings.student_port)
    # Beside a training job, threads that spin while they wait would take the answers' time.
    return replace(program, environment=program.environment | {"OMP_WAIT_POLICY": "PASSIVE"})


def _worker(settings: MachineSettings) -> Program:
    # A batch in flight is settled before the worker leaves; a teacher's answer may be waited for.
    return _probed("worker", "streams", "MILLRACE_WORKER_PORT", settings.worker_port, stop_seconds=30)


def _dispatcher(settings: MachineSettings) -> Program:
    return _probed("dispatcher", "trainers", "MILLRACE_DISPATCHER_PORT", settings.dispatcher_port)


def _router(settings: MachineSettings) -> Program:
    return Program(
        name="router",
        command=_python("deploy.serve.router"),
        ports={"MILLRACE_ROUTER_PORT": settings.router_port, "MILLRACE_ADMIN_PORT": settings.admin_port},
        ready=_ready(settings.admin_port),
        stop_seconds=20,  # captures in the queue are sent before it leaves
    )


def _served(name: str, module: str, variable: str, port: int, *options: str) -> Program:
    return Program(name=name, command=_python(module, *options), ports={variable: port}, ready=_ready(port))


def _probed(name: str, module: str, variable: str, port: int, *, stop_seconds: int = 10) -> Program:
    return Program(
        name=name,
        command=_python(module),
        ports={variable: port},
        ready=_ready(port),
        environment={"MILLRACE_METRICS_PORT": str(port)},
        stop_seconds=stop_seconds,
    )


def _python(module: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *options)


def _ready(port: int) -> str:
    return f"http://127.0.0.1:{port}/readyz"


def taken(found: Sequence[Program]) -> list[tuple[str, int]]:
    """Return every variable and port of the programs."""
    return [pair for program in found for pair in program.ports.items()]
