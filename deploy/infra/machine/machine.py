"""All processes of Millrace on one machine, kept running by supervisor: start, wait, look, kill one, stop.

Several machines run side by side when their folders and ports differ. Decides nothing about the stream itself.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final

import psutil
from pydantic import SecretStr

from deploy.edge.process.variables import variable
from deploy.infra.machine import ready, traces, view
from deploy.infra.machine.daemon import Daemon, ProcessState, configuration, log_path, spawn
from deploy.infra.machine.programs import BROKER, MISTAKE, Program, programs, taken
from deploy.infra.machine.settings import MachineSettings
from deploy.infra.ports import PortInUse
from schemas.errors import MillraceError, SettingsError, Unavailable

UP_SECONDS: Final = 240.0  # the first start may fetch the broker's jars
_WRITTEN: Final = "machine.json"  # what runs here, for the commands that come later
_POLL_SECONDS: Final = 0.3
_LAST_LINES: Final = 15
_PATIENCE: Final = 3  # restarts of a process before it was ever ready, after which waiting on is of no use

ReadyCallback = Callable[[Program, float], None]  # a process is ready, after so many seconds


class NotStarted(MillraceError):
    """A process did not come up: says which one, shows its last lines and the remedy."""

    def __init__(self, name: str, what: str, lines: Sequence[str], remedy: str) -> None:
        self.name, self.lines = name, list(lines)
        shown = "".join(f"\n    {line}" for line in lines) or "\n    (it wrote nothing)"
        super().__init__(f"{name} {what}; its last lines:{shown}\n  {remedy}")


class Machine:
    """The processes under one folder."""

    def __init__(
        self,
        home: Path,
        settings: MachineSettings,
        *,
        teacher: Sequence[str] | None = None,
        found: Sequence[Program] | None = None,
    ) -> None:
        self.home, self.settings = home.absolute(), settings
        self.programs = list(found) if found is not None else programs(settings, teacher, self.home)
        self._daemon = Daemon(self.home)

    @classmethod
    def at(cls, home: Path) -> Machine:
        """Return the machine that runs in a folder, or the one that the environment would start there."""
        written = _written(home)
        if written is None:
            return cls(home, MachineSettings.load())
        found = [Program(**{**item, "command": tuple(item["command"])}) for item in written["programs"]]
        return cls(home, MachineSettings.load(**written["settings"]), found=found)

    def start(self, on_ready: ReadyCallback = lambda *_: None) -> None:
        """Start what does not run yet, each process once what it needs is there. Running already: changes nothing.

        Raises:
            SettingsError: an earlier machine is left, or one runs here with other settings.
            PortInUse: another program listens on a port.
            NotStarted: the broker or the topics did not come up; everything is stopped again.
        """
        with self._alone():
            if self._daemon.pid() is None:
                self._launch()
            elif _written(self.home) != json.loads(json.dumps(self._identity())):
                raise SettingsError(
                    "home", str(self.home), "a machine runs here with other settings; `millrace down` first"
                )
            try:
                for program in self.programs:
                    self._start_one(program, on_ready)
            except BaseException:
                self.stop()
                raise

    def wait_ready(self, on_ready: ReadyCallback = lambda *_: None, timeout_seconds: float = UP_SECONDS) -> None:
        """Wait until every process is ready, and report each.

        Raises:
            NotStarted: one of them ended for good or is not ready in time; everything is stopped again.
            PortInUse: it ended because another program listens on its port now; everything is stopped again.
        """
        waited = {program.name: program for program in self.programs if not program.once and program.name != BROKER}
        began = time.monotonic()
        while waited:
            states = self._daemon.processes()
            wrong = self._not_ready(list(waited.values()))
            for name in [name for name, what in wrong.items() if what is None]:
                on_ready(waited.pop(name), states[name].uptime_seconds)
            for name, program in waited.items():
                self._fail_if_over(program, states.get(name))
            if waited and time.monotonic() - began > timeout_seconds:
                name = next(iter(waited))
                self._fail(name, f"is not ready after {timeout_seconds:.0f} s: {wrong[name]}")
            if waited:
                time.sleep(_POLL_SECONDS)

    def processes(self) -> dict[str, int]:
        """Return the process id of each process that runs, by name."""
        once = {program.name for program in self.programs if program.once}
        return {name: process.pid for name, process in self.states().items() if process.pid and name not in once}

    def states(self) -> dict[str, ProcessState]:
        """Return what supervisor says of each process."""
        return self._daemon.processes()

    def restarts(self) -> dict[str, int]:
        """Return how often each process was started after its first time."""
        return view.restarts(self.home / "supervisord.log")

    def readiness(self) -> dict[str, str | None]:
        """Ask each process but the passing ones: None where it is ready, else what is wrong."""
        return self._not_ready([program for program in self.programs if not program.once])

    def running(self, module: str) -> list[int]:
        """Return the process ids that run `python -m MODULE` for this machine: jobs of the dispatcher, say."""
        return traces.running(self.home, module)

    def kill(self, name: str) -> int:
        """Kill a process as the kernel would (SIGKILL) and return the id it had; supervisor starts it again.

        Raises:
            Unavailable: it does not run.
        """
        pid = self.processes().get(name)
        if pid is None:
            raise Unavailable(f"{name} does not run, so it cannot be killed")
        os.kill(pid, SIGKILL)
        return pid

    def stop(self) -> list[str]:
        """Stop everything in reverse order of the flow; return what had to be ended by hand, in words.

        Raises:
            Unavailable: a process does not go away even when killed.
        """
        pid = self._daemon.pid()
        self._daemon.shutdown()
        deadline = time.monotonic() + sum(program.stop_seconds + 2 for program in self.programs)
        while pid is not None and _lives(pid) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        left = traces.marked(self.home)
        words = [f"{process.pid} ({process.name()})" for process in left if process.is_running()]
        if stayed := traces.end(left):
            raise Unavailable(f"processes {stayed} do not go away; look at them with `ps`")
        (self.home / _WRITTEN).unlink(missing_ok=True)
        return words

    def last_lines(self, name: str, number: int = _LAST_LINES) -> list[str]:
        """Return the last lines a process wrote."""
        try:
            return log_path(self.home, name).read_text(errors="replace").splitlines()[-number:]
        except FileNotFoundError:
            return []

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _launch(self) -> None:
        if left := traces.marked(self.home):
            pids = ", ".join(str(process.pid) for process in left)
            raise SettingsError(
                "home", str(self.home), f"processes {pids} of an earlier start are left; `millrace down`"
            )
        first: dict[int, str] = {}
        for name, port in taken(self.programs):
            if first.setdefault(port, name) != name:
                raise SettingsError(name, port, f"is also the port of {first[port]}; set another one")
        _check_ports(self.programs)
        (self.home / "logs").mkdir(exist_ok=True, mode=0o700)
        for program in self.programs:
            _set_aside(log_path(self.home, program.name))
        (self.home / "supervisord.conf").write_text(configuration(self.home, self.programs))
        (self.home / _WRITTEN).write_text(json.dumps(self._identity(), indent=1))
        daemon = spawn(self.home, self._environment())
        deadline = time.monotonic() + 15
        while self._daemon.pid() is None:
            if daemon.poll() is not None or time.monotonic() > deadline:
                said = (self.home / "supervisord.out").read_text(errors="replace").splitlines()[-_LAST_LINES:]
                raise NotStarted("supervisor", "did not come up", said, f"see {self.home / 'supervisord.log'}")
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        """Return the shell's environment, our settings as variables, and the mark that finds the processes again.

        What no process reads is left out: it was warned of once, and must not stop the command that makes the topics.
        """
        strange = {unknown.field for unknown in self.settings.unknown_variables()}
        shell = {name: value for name, value in os.environ.items() if name not in strange}
        ours = environment_of(self.settings) | self.settings.addresses()
        return shell | ours | {"PYTHONUNBUFFERED": "1", traces.MARK: str(self.home)}

    def _identity(self) -> dict[str, Any]:
        """Return settings, without secrets, and programs, as written down for later commands."""
        hidden = {name for name, value in self.settings if isinstance(value, SecretStr)}
        given = self.settings.model_dump(mode="json", exclude_unset=True, exclude=hidden)
        return {"settings": given, "programs": [dataclasses.asdict(program) for program in self.programs]}

    def _start_one(self, program: Program, on_ready: ReadyCallback) -> None:
        began = time.monotonic()
        self._daemon.start(program.name)
        while program.once or program.name == BROKER:
            process = self._daemon.processes().get(program.name)
            ended_well = process is not None and process.state == "EXITED" and process.exit_code == 0
            if ended_well if program.once else not ready.broker_answers(self.settings, self.settings.brokers):
                return on_ready(program, time.monotonic() - began)
            self._fail_if_over(program, process)
            if time.monotonic() - began > UP_SECONDS:
                self._fail(program.name, f"is not done after {UP_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        return None

    def _not_ready(self, asked: Sequence[Program]) -> dict[str, str | None]:
        wrong = ready.ask({program.name: program.ready for program in asked if program.ready})
        states = self._daemon.processes()
        for program in asked:
            process = states.get(program.name)
            state = process.state if process else "STOPPED"
            if program.name == BROKER:
                wrong[BROKER] = ready.broker_answers(self.settings, self.settings.brokers)
            elif state not in ("RUNNING", "STARTING") or (program.ready is None and state == "STARTING"):
                # What answers on a port while ours is down is somebody else's.
                wrong[program.name] = f"is {state.lower()}"
            elif program.ready is None:
                wrong[program.name] = None
        return wrong

    def _fail_if_over(self, program: Program, process: ProcessState | None) -> None:
        if process is None:
            self._fail(program.name, "is not known to supervisor, which left")
        elif process.state == "EXITED" and process.exit_code == MISTAKE:
            self._fail(program.name, "was given something it cannot use")
        elif process.state == "EXITED" and program.once and process.exit_code:
            self._fail(program.name, f"ended with {process.exit_code}")
        elif process.state == "FATAL" or self.restarts().get(program.name, 0) >= _PATIENCE:
            self._fail(program.name, "ended again and again")

    def _fail(self, name: str, what: str) -> None:
        lines = self.last_lines(name)
        self.stop()
        _check_ports([program for program in self.programs if program.name == name])
        raise NotStarted(name, what, lines, f"the whole log: {log_path(self.home, name)}; mend it and start again")


def _check_ports(found: Sequence[Program]) -> None:
    for name, port in taken(found):
        if who := traces.holder(port):
            raise PortInUse(name, port, f"the port is in use by {who}; stop it or set another port")


def _written(home: Path) -> dict[str, Any] | None:
    try:
        return json.loads((home / _WRITTEN).read_text())  # type: ignore[no-any-return]
    except (FileNotFoundError, ValueError):
        return None


def environment_of(settings: MachineSettings) -> dict[str, str]:
    """Return the variables that give a process these settings; folders become absolute."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {variable(name): _spelled(value) for name, value in given.items() if value is not None}


def _spelled(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    return json.dumps(value) if isinstance(value, list) else str(value)


def _set_aside(log: Path) -> None:
    """Keep the log of the run before under another name, so that last lines are always this run's."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))


def _lives(pid: int) -> bool:
    """Return whether a process is there; a daemon that we started ourselves is reaped on the way."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return psutil.pid_exists(pid)
