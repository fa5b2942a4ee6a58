"""`millrace up | down | status | logs | init | doctor`: all processes on one machine, and what they need."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from deploy.edge.process.command import load_settings, one_line_errors, run
from schemas.errors import SettingsError

_HOME: Final = click.option(
    "--home", type=click.Path(path_type=Path), default=Path("var/machine"), envvar="MILLRACE_MACHINE_DIR",
    show_default=True, help="Folder of logs, sockets and the embedded broker's data.",
)  # fmt: skip
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Run all processes of Millrace on this machine."""


@main.command()
@click.argument("name")
@one_line_errors
def init(name: str) -> None:
    """Write a commented workload file.

    NAME is the workload's. The file is NAME.toml in the folder of workloads; every key is in it, with its effect and
    its default.
    """
    from deploy.infra.machine.init import write

    print(f"wrote {write(name, load_settings().workloads_dir)}; set its labels, then `millrace doctor`")


@main.command()
@one_line_errors
def doctor() -> None:
    """Show what this machine lacks, and how to get it.

    Every setting is shown too, with its value and where that comes from. Exit code 1 if something is missing.
    """
    from deploy.infra.machine import doctor

    sys.exit(doctor.show() > 0)


@main.command()
@_HOME
@click.option(
    "--teacher-truth",
    type=_FILE,
    envvar="MILLRACE_TEACHER_TRUTH",
    help="Start the practice teacher on these true labels (`millrace simulate --truth` writes them).",
)
@click.option(
    "--teacher-fitted",
    type=_FILE,
    envvar="MILLRACE_TEACHER_FITTED",
    help="Start the practice teacher on a model fitted to these labelled rows. With neither, the teacher is at the "
    "URL of the workload file.",
)
@click.option("--timeout", type=float, default=240, show_default=True, help="Seconds until all must be ready.")
@one_line_errors
def up(home: Path, teacher_truth: Path | None, teacher_fitted: Path | None, timeout: float) -> None:
    """Start every process, and wait until all are ready."""
    from deploy.infra.machine.up import start

    start(home, _practice_teacher(teacher_truth, teacher_fitted), timeout)


def _practice_teacher(truth: Path | None, fitted: Path | None) -> list[str] | None:
    if truth and fitted:
        raise SettingsError("--teacher-fitted", str(fitted), "give this or --teacher-truth, not both")
    if truth:
        return ["--truth", str(truth)]
    return ["--fitted", str(fitted)] if fitted else None


@main.command()
@_HOME
@one_line_errors
def down(home: Path) -> None:
    """Stop every process, and show that none is left."""
    from deploy.infra.machine.machine import Machine

    machine = Machine.at(home)
    number = len(machine.processes())
    by_hand = machine.stop()
    for words in by_hand:
        print(f"ended by hand: {words}")
    print(f"stopped {number} processes; none is left" if number or by_hand else "nothing ran; none is left")


@main.command()
@_HOME
@one_line_errors
def status(home: Path) -> None:
    """Show every process; exit code 1 unless all are ready."""
    from rich.console import Console

    from deploy.infra.machine import view
    from deploy.infra.machine.machine import Machine

    machine = Machine.at(home)
    states, readiness = machine.states(), machine.readiness()
    counts = machine.restarts()
    Console().print(view.status_table(machine.programs, states, readiness, counts))
    sys.exit(0 if view.all_run(machine.programs, states, readiness) else 1)


@main.command()
@click.argument("process", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow new lines.")
@click.option("-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, help="Lines of each log.")
@_HOME
@one_line_errors
def logs(process: str | None, follow: bool, lines: int, home: Path) -> None:
    """Show the last lines of one process's log, or of all."""
    from deploy.infra.machine import view
    from deploy.infra.machine.daemon import log_path

    folder = log_path(home, "").parent
    names = sorted(path.stem for path in folder.glob("*.log") if not path.stem.endswith(".previous"))
    if process is not None and process not in names:
        raise SettingsError("PROCESS", process, f"has no log in {folder}; there are: {', '.join(names) or 'none'}")
    chosen = {name: log_path(home, name) for name in ([process] if process else names)}
    for name, line in view.follow(chosen, lines, go_on=follow):
        print(line if process else f"{name:<11} {line}", flush=True)


if __name__ == "__main__":
    run(main, "millrace")
