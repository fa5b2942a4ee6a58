"""What `millrace up` and `millrace status` show, and how logs are followed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from deploy.infra.machine.daemon import ProcessState
from deploy.infra.machine.programs import Program

_COLOURS: Final = {"RUNNING": "green", "EXITED": "red", "FATAL": "red", "BACKOFF": "yellow"}
_FOLLOW_SECONDS: Final = 0.3


def status_table(
    programs: Sequence[Program],
    states: Mapping[str, ProcessState],
    readiness: Mapping[str, str | None],
    restarts: Mapping[str, int],
) -> Table:
    """Return one row per process: state, pid, uptime, restarts, port, readiness."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("process", "state", "pid", "uptime", "restarts", "port", "ready"):
        table.add_column(heading, justify="right" if heading in ("pid", "uptime", "restarts", "port") else "left")
    for program in programs:
        if program.once:
            continue
        process = states.get(program.name)
        state = process.state if process else "STOPPED"
        what = readiness.get(program.name, "is stopped")
        table.add_row(
            program.name,
            Text(state.lower(), style=_COLOURS.get(state, "")),
            str(process.pid) if process and process.pid else "-",
            str(timedelta(seconds=int(process.uptime_seconds))) if process and process.pid else "-",
            str(restarts.get(program.name, 0)),
            str(program.port or "-"),
            Text("yes", style="green") if what is None else Text(what, style="yellow"),
        )
    return table


def all_run(
    programs: Sequence[Program], states: Mapping[str, ProcessState], readiness: Mapping[str, str | None]
) -> bool:
    """Return whether every lasting process runs and is ready."""
    lasting = [program.name for program in programs if not program.once]
    return all(
        name in states and states[name].state == "RUNNING" and readiness.get(name, "") is None for name in lasting
    )


def restarts(log: Path) -> dict[str, int]:
    """Count from supervisor's log how often each process was started after its first time."""
    counts: dict[str, int] = {}
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        if "supervisord started with pid" in line:
            counts.clear()
        elif " spawned: '" in line:
            name = line.split(" spawned: '", 1)[1].split("'", 1)[0]
            counts[name] = counts.get(name, -1) + 1
    return counts


def follow(logs: Mapping[str, Path], last: int, *, go_on: bool) -> Iterator[tuple[str, str]]:
    """Yield (process, line): the last lines of each file, then new ones if it shall go on, for ever."""
    read = {name: _Tail(path) for name, path in logs.items()}
    for name, tail in read.items():
        yield from ((name, line) for line in tail.lines()[-last:])
    while go_on:
        news = [(name, line) for name, tail in read.items() for line in tail.lines()]
        yield from news
        if not news:
            time.sleep(_FOLLOW_SECONDS)


class _Tail:
    """A log file read on from where it was left; a rotated one is opened anew."""

    def __init__(self, path: Path) -> None:
        self._path, self._inode, self._offset, self._rest = path, 0, 0, b""

    def lines(self) -> list[str]:
        """Return the complete lines since the last call."""
        try:
            with self._path.open("rb") as file:
                stat = self._path.stat()
                if stat.st_ino != self._inode or stat.st_size < self._offset:
                    self._inode, self._offset, self._rest = stat.st_ino, 0, b""
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *complete, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in complete]
