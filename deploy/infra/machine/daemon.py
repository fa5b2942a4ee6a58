"""Supervisor as the process keeper: its configuration as text, and the calls it answers on its unix socket.

There is no inet port; the socket and everything the daemon writes belong to its owner alone.
"""

from __future__ import annotations

import http.client
import shlex
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from supervisor.xmlrpc import Faults, SupervisorTransport

from deploy.infra.machine.programs import MISTAKE, Program
from schemas.errors import SettingsError

State = Literal["STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"]

START_SECONDS: Final = 15  # a process that ends sooner counts as a failed start: longer than imports take
START_RETRIES: Final = 8  # failed starts in a row, each waited for a second longer, before the daemon gives up
LOG_BYTES: Final = 10_000_000
LOG_BACKUPS: Final = 3
_SILENT: Final = (OSError, http.client.HTTPException, xmlrpc.client.Error)  # it is not there, or just leaving
_SOCKET_CHARACTERS: Final = 100  # of a unix socket's path: the kernel's limit is 104 (macOS) or 108


@dataclass(frozen=True)
class ProcessState:
    """What the daemon knows about one process."""

    name: str
    state: State
    pid: int  # 0: none
    uptime_seconds: float
    exit_code: int


def socket_path(home: Path) -> Path:
    """Return where the daemon listens.

    Raises:
        SettingsError: the path is too long for a unix socket.
    """
    path = home / "supervisor.sock"
    if len(str(path)) > _SOCKET_CHARACTERS:
        raise SettingsError("home", str(home), f"is too long for a unix socket (over {_SOCKET_CHARACTERS} characters)")
    return path


def log_path(home: Path, name: str) -> Path:
    """Return the log file of a process."""
    return home / "logs" / f"{name}.log"


def configuration(home: Path, found: Sequence[Program]) -> str:
    """Return supervisord.conf: programs stop in the reverse of this order when the daemon leaves."""
    head = f"""\
; Written by `millrace up`; changes are lost at the next one.
[unix_http_server]
file={_escaped(socket_path(home))}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile={_escaped(home / "supervisord.log")}
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOG_BACKUPS}
pidfile={_escaped(home / "supervisord.pid")}
childlogdir={_escaped(home / "logs")}
silent=true
"""
    return head + "".join(_section(home, program, place) for place, program in enumerate(found, start=1))


def _section(home: Path, program: Program, place: int) -> str:
    environment = ",".join(f'{name}="{_escaped(value)}"' for name, value in program.environment.items())
    restarts = "false" if program.once else "unexpected"
    return f"""
[program:{program.name}]
command={_escaped(shlex.join(program.command))}
environment={environment}
priority={place}
autostart=false
autorestart={restarts}
exitcodes={MISTAKE}
startsecs={0 if program.once else START_SECONDS}
startretries={START_RETRIES}
stopsignal=TERM
stopwaitsecs={program.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={_escaped(log_path(home, program.name))}
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={LOG_BACKUPS}
"""


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def spawn(home: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the daemon apart from this terminal; what it says before its own log is open goes to a file."""
    with (home / "supervisord.out").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.infra.machine.supervise", "-n", "-c", str(home / "supervisord.conf")],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            umask=0o077,  # inherited: logs, state and sockets are their owner's alone
        )


class Daemon:
    """The calls that a running daemon answers."""

    def __init__(self, home: Path) -> None:
        self._socket = socket_path(home)

    def pid(self) -> int | None:
        """Return the daemon's own process id, or None where none answers."""
        try:
            return int(self._call("getPID"))
        except _SILENT:
            return None

    def processes(self) -> dict[str, ProcessState]:
        """Return what the daemon keeps, by name; nothing where none answers."""
        try:
            infos: list[dict[str, Any]] = self._call("getAllProcessInfo")
        except _SILENT:
            return {}
        return {info["name"]: _process(info) for info in infos}

    def start(self, name: str) -> None:
        """Start a process that does not run; one that runs is left alone, one that cannot start shows in its state."""
        try:
            self._call("startProcess", name, False)  # do not wait until it is up
        except xmlrpc.client.Fault as fault:
            shown = (Faults.ALREADY_STARTED, Faults.SPAWN_ERROR, Faults.NO_FILE, Faults.NOT_EXECUTABLE)
            if fault.faultCode not in shown:
                raise

    def shutdown(self) -> None:
        """Ask the daemon to stop all processes, the last of the flow first, and to leave."""
        try:
            self._call("shutdown")
        except _SILENT:
            return

    def _call(self, name: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        try:
            server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(server.supervisor, name)(*arguments)
        finally:
            transport.close()


def _process(info: dict[str, Any]) -> ProcessState:
    pid = int(info["pid"])
    uptime = float(info["now"] - info["start"]) if pid else 0.0
    return ProcessState(info["name"], info["statename"], pid, uptime, int(info["exitstatus"]))
