"""What `millrace up` does: start the machine, and say of each process when it is ready."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deploy.edge.process import logs
from deploy.infra.machine.machine import Machine
from deploy.infra.machine.programs import Program
from deploy.infra.machine.settings import MachineSettings


def start(home: Path, teacher: Sequence[str] | None, timeout_seconds: float) -> None:
    """Start every process of a machine, and wait until all are ready.

    `teacher`: the practice teacher's options; None: none runs.

    Raises:
        MillraceError: a setting or workload file is wrong, or a process did not come up.
    """
    settings = MachineSettings.load_to_stay()
    logs.start(settings, "up")
    settings.workloads()  # a mistake in a workload file is reported here, not by five processes
    machine = Machine(home, settings, teacher=teacher)
    console, began = Console(), time.monotonic()

    def report(program: Program, seconds: float) -> None:
        done = "done " if program.once else "ready"
        where = f"127.0.0.1:{program.port}" if program.port else ""
        console.print(f"[green]✓[/] {program.name:<11}{done} {seconds:5.1f} s  [dim]{where}[/]", highlight=False)

    machine.start(report)
    machine.wait_ready(report, timeout_seconds)
    console.print(
        f"All {len(machine.processes())} processes are ready after {time.monotonic() - began:.0f} s. "
        f"Point an OpenAI client at http://127.0.0.1:{settings.router_port}/v1; logs are in {machine.home / 'logs'}.",
        highlight=False,
        soft_wrap=True,
    )
