"""What a machine leaves on its host: its processes, found by a mark in their environment, and the ports in use.

The mark is inherited, so jobs that outlive the process that started them are found as well.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "MILLRACE_MACHINE"  # set to the machine's folder in each of its processes
_KILL_SECONDS: Final = 5.0


def marked(home: Path) -> list[psutil.Process]:
    """Return the live processes of the machine in this folder, but not ourselves."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _is_marked(process, home)]


def _is_marked(process: psutil.Process, home: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(home)
    except (psutil.Error, OSError):  # somebody else's, or gone
        return False


def running(home: Path, module: str) -> list[int]:
    """Return the process ids of the machine that run `python -m MODULE`, jobs included."""
    return [process.pid for process in marked(home) if module in _command(process)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def end(processes: Sequence[psutil.Process]) -> list[int]:
    """Ask the processes to leave, kill those that stay, and return the ids that are there even then."""
    for process in _alive(processes):
        process.terminate()
    _, stayed = psutil.wait_procs(processes, timeout=_KILL_SECONDS)
    for process in _alive(stayed):
        process.kill()
    _, left = psutil.wait_procs(stayed, timeout=_KILL_SECONDS)
    return [process.pid for process in left]


def _alive(processes: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        try:
            if process.is_running():
                yield process
        except psutil.Error:
            continue


def holder(port: int) -> str | None:
    """Return who listens on a loopback port, in words, or None where it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return "the system, for privileged processes only"
        except OSError:
            return _listener(port)
    return None


def _listener(port: int) -> str:
    try:
        found = [
            item.pid for item in psutil.net_connections("tcp") if item.laddr and item.laddr.port == port and item.pid
        ]
        return f"process {found[0]} ({psutil.Process(found[0]).name()})" if found else "another process"
    except (psutil.Error, OSError):  # some systems show this only to root
        return "another process"
