"""The programs of one machine in the order of their start: what is started, on which ports.

Pure: settings in, programs out. Starts nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deploy.infra.machine.settings import MachineSettings

MISTAKE: Final = 2  # exit code of a program that was given something it cannot use: a restart does not mend that
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
    """Return what runs here in the order of its start; `teacher`: the practice teacher's options, None: none runs."""
    # The first two need no Kafka and import longest, so they get ready while the broker starts.
    found = []
    if teacher is not None:
        found.append(
            _served(
                "teacher", "deploy.serve.practice_teacher", "MILLRACE_TEACHER_PORT", settings.teacher_port, *teacher
            )
        )
    students = _served("students", "deploy.serve.students", "MILLRACE_STUDENT_PORT", settings.student_port)
    # Beside a training job, threads that spin while they wait would take the answers' time.
    found.append(replace(students, environment={"OMP_WAIT_POLICY": "PASSIVE"}))
    if settings.own_broker:
        found.append(_broker(settings, home))
    found.append(Program(name=TOPICS, command=_python("deploy.infra.kafka", "topics", "apply"), once=True))
    # A batch in flight is settled before the worker leaves; a teacher's answer may be waited for.
    worker = _probed("worker", "streams", "MILLRACE_WORKER_PORT", settings.worker_port)
    found.append(replace(worker, stop_seconds=30))
    found.append(_probed("dispatcher", "trainers", "MILLRACE_DISPATCHER_PORT", settings.dispatcher_port))
    router = _served("router", "deploy.serve.router", "MILLRACE_ADMIN_PORT", settings.admin_port)
    ports = {"MILLRACE_ROUTER_PORT": settings.router_port, **router.ports}
    # Captures in the queue are sent before the router leaves.
    return [*found, replace(router, ports=ports, stop_seconds=20)]


def _broker(settings: MachineSettings, home: Path) -> Program:
    port = settings.broker_port
    options = ("--foreground", "--home", str(home / "kafka"), "--port", str(port))
    command = _python("deploy.infra.kafka", "kafka", "start", *options)
    ports = {"MILLRACE_BROKER_PORT": port, CONTROLLER: port + 1}
    return Program(name=BROKER, command=command, ports=ports, stop_seconds=30)


def _served(name: str, module: str, variable: str, port: int, *options: str) -> Program:
    ready = f"http://127.0.0.1:{port}/readyz"
    return Program(name=name, command=_python(module, *options), ports={variable: port}, ready=ready)


def _probed(name: str, module: str, variable: str, port: int) -> Program:
    return replace(_served(name, module, variable, port), environment={"MILLRACE_METRICS_PORT": str(port)})


def _python(module: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *options)


def taken(found: Sequence[Program]) -> list[tuple[str, int]]:
    """Return every variable and port of the programs."""
    return [pair for program in found for pair in program.ports.items()]
