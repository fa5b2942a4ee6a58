"""`millrace up | down | status | logs`: all processes on one machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from rich.console import Console

from deploy.edge.process.command import told_in_one_line
from deploy.infra.machine import view
from deploy.infra.machine.daemon import log_path
from deploy.infra.machine.machine import UP_SECONDS, Machine
from deploy.infra.machine.programs import MachineSettings, Program
from schemas.errors import SettingsError

_HOME = click.option(
    "--home", type=click.Path(path_type=Path), default=Path("var/machine"), envvar="MILLRACE_MACHINE_DIR",
    show_default=True, help="Folder of logs, sockets and the embedded broker's data.",
)  # fmt: skip
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Run all processes of Millrace on this machine."""


@main.command()
@_HOME
@click.option(
    "--teacher-truth",
    type=_FILE,
    envvar="MILLRACE_TEACHER_TRUTH",
    help="Start the teacher stand-in on these true labels (`millrace simulate --truth` writes them).",
)
@click.option(
    "--teacher-fitted",
    type=_FILE,
    envvar="MILLRACE_TEACHER_FITTED",
    help="Start the teacher stand-in on a model fitted to these labelled rows. With neither, the teacher is at the "
    "URL of the workload file.",
)
@click.option("--timeout", type=float, default=UP_SECONDS, show_default=True, help="Seconds until all must be ready.")
def up(home: Path, teacher_truth: Path | None, teacher_fitted: Path | None, timeout: float) -> None:
    """Start everything, and wait until every process is ready."""
    settings = MachineSettings.load()
    settings.workloads()  # a mistake in a workload file is told here, not by five processes
    machine = Machine(home, settings, teacher=_stand_in(teacher_truth, teacher_fitted))
    console, began = Console(), time.monotonic()

    def told(program: Program, seconds: float) -> None:
        done = "done " if program.once else "ready"
        where = f"127.0.0.1:{program.port}" if program.port else ""
        console.print(f"[green]✓[/] {program.name:<11}{done} {seconds:5.1f} s  [dim]{where}[/]", highlight=False)

    machine.start(told)
    machine.wait_ready(told, timeout)
    console.print(
        f"All {len(machine.processes())} processes are ready after {time.monotonic() - began:.0f} s. "
        f"Point an OpenAI client at http://127.0.0.1:{settings.router_port}/v1; logs are in {machine.home / 'logs'}.",
        highlight=False,
        soft_wrap=True,
    )


def _stand_in(truth: Path | None, fitted: Path | None) -> list[str] | None:
    if truth and fitted:
        raise SettingsError("--teacher-fitted", str(fitted), "give this or --teacher-truth, not both")
    if truth:
        return ["--truth", str(truth)]
    return ["--fitted", str(fitted)] if fitted else None


@main.command()
@_HOME
def down(home: Path) -> None:
    """Stop everything, and show that nothing is left."""
    machine = Machine.at(home)
    number = len(machine.processes())
    by_hand = machine.stop()
    for words in by_hand:
        print(f"ended by hand: {words}")
    print(f"stopped {number} processes; none is left" if number or by_hand else "nothing ran; none is left")


@main.command()
@_HOME
def status(home: Path) -> None:
    """Show every process; exit code 1 unless all run and are ready."""
    machine = Machine.at(home)
    states, readiness = machine.states(), machine.readiness()
    counts = machine.restarts()
    Console().print(view.status_table(machine.programs, states, readiness, counts))
    sys.exit(0 if view.all_run(machine.programs, states, readiness) else 1)


@main.command()
@click.argument("process", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, help="Lines of each log.")
@_HOME
def logs(process: str | None, follow: bool, lines: int, home: Path) -> None:
    """Show the last lines of one PROCESS, or of all."""
    folder = log_path(home, "").parent
    names = sorted(path.stem for path in folder.glob("*.log") if not path.stem.endswith(".previous"))
    if process is not None and process not in names:
        raise SettingsError("PROCESS", process, f"has no log in {folder}; there are: {', '.join(names) or 'none'}")
    chosen = {name: log_path(home, name) for name in ([process] if process else names)}
    for name, line in view.follow(chosen, lines, go_on=follow):
        print(line if process else f"{name:<11} {line}", flush=True)


if __name__ == "__main__":
    told_in_one_line(main)(prog_name="millrace")
