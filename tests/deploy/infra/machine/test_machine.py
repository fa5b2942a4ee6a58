"""What a machine promises of the processes it keeps."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from deploy.infra.machine import traces
from deploy.infra.machine.machine import Machine, NotStarted
from deploy.infra.machine.programs import Program
from deploy.infra.machine.settings import MachineSettings
from deploy.infra.ports import PortInUse
from schemas.errors import SettingsError
from tests.deploy.infra.machine.conftest import Make, stand_in

pytestmark = pytest.mark.slow


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_machine__starts_kills_restarts_and_stops(make: Make) -> None:
    """Every process becomes ready, a killed one comes back under another id, and nothing is left after the stop."""
    machine = make(stand_in("one"), stand_in("two"), log_format="json")
    ready: list[str] = []
    machine.start()
    machine.wait_ready(lambda program, _: ready.append(program.name), 30)
    pids = machine.processes()

    assert sorted(ready) == ["one", "two"]
    assert set(pids) == {"one", "two"}

    assert machine.kill("one") == pids["one"]
    until(lambda: machine.processes().get("one", pids["one"]) != pids["one"])
    machine.wait_ready(timeout_seconds=30)
    restarts = machine.restarts()

    assert (restarts["one"], restarts["two"]) == (1, 0)
    assert machine.processes()["two"] == pids["two"]
    assert "sees json" in machine.last_lines("one")[0]

    assert machine.stop() == []
    assert traces.marked(machine.home) == []
    assert machine.processes() == {}
    assert machine.last_lines("two")[-1] == "left in good order"


def test_machine__leaves_out_what_no_process_reads(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable, of which `up` warned, does not stop the command that makes the topics."""
    monkeypatch.setenv("MILLRACE_ROUTR_PORT", "8100")
    monkeypatch.setenv("MILLRACE_ROUTER_SERVICE_HOST", "10.3.2.1")
    machine = make(stand_in("one"))
    machine.start()
    machine.wait_ready(timeout_seconds=30)
    environment = psutil.Process(machine.processes()["one"]).environ()

    assert "MILLRACE_ROUTR_PORT" not in environment
    assert environment["MILLRACE_ROUTER_SERVICE_HOST"] == "10.3.2.1"


def test_machine__started_twice_changes_nothing(make: Make) -> None:
    """A second start finds everything running and leaves every process as it is."""
    machine = make(stand_in("one"))
    machine.start()
    machine.wait_ready(timeout_seconds=30)
    before = machine.processes()
    again = Machine.at(machine.home)
    again.start()
    again.wait_ready(timeout_seconds=30)

    assert again.processes() == before


def test_machine__other_settings_in_the_same_folder(make: Make) -> None:
    """A start with other settings than those that run is refused, and what runs goes on."""
    machine = make(stand_in("one"))
    machine.start()
    other = Machine(machine.home, machine.settings, found=[stand_in("one")])

    with pytest.raises(SettingsError, match="other settings"):
        other.start()
    assert machine.processes()


def test_machine__settings_mistake_is_told_and_not_tried_again(make: Make) -> None:
    """A process that ends with code 2 at once is not started again; its message is shown and everything is stopped."""
    machine = make(stand_in("good"), stand_in("bad", "--mistake"))
    machine.start()

    with pytest.raises(NotStarted, match="MILLRACE_COLOUR = 'mauve'") as raised:
        machine.wait_ready(timeout_seconds=30)
    assert raised.value.name == "bad"
    assert machine.restarts()["bad"] == 0
    assert traces.marked(machine.home) == []


def test_machine__crashing_process_is_tried_again_with_growing_waits(make: Make) -> None:
    """A process that ends with another code is started again, and later each time."""
    machine = make(Program(name="crash", command=(sys.executable, "-c", "raise SystemExit(1)")))
    machine.start()
    until(lambda: machine.restarts().get("crash", 0) >= 2)
    log = (machine.home / "supervisord.log").read_text()
    spawned = [line for line in log.splitlines() if "spawned: 'crash'" in line]
    times = [datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f") for line in spawned]  # noqa: DTZ007 - differences
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]

    assert waits[0] >= 0.9  # a loaded machine waits longer, never shorter
    assert waits[1] >= 1.9


def test_machine__process_that_never_gets_ready(make: Make) -> None:
    """A process that is up but not ready in time is named with what it says of itself."""
    machine = make(stand_in("slow", "--not-ready"))
    machine.start()
    until(lambda: machine.readiness()["slow"] == "still loading")

    with pytest.raises(NotStarted, match="slow is not ready after 0 s: still loading"):
        machine.wait_ready(timeout_seconds=0)


@contextmanager
def taken(program: Program) -> Iterator[tuple[Program, int]]:
    """Listen on a port, and yield the program as it would be with that one."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        command = tuple(str(port) if word == str(program.port) else word for word in program.command)
        yield replace(program, command=command, ports=dict.fromkeys(program.ports, port)), port


def test_machine__port_in_use(tmp_path: Path) -> None:
    """A port that somebody holds is reported with variable and holder before anything is started."""
    with taken(stand_in("one")) as (program, port):
        machine = Machine(tmp_path / "m", MachineSettings.load_to_stay(), found=[program])
        with pytest.raises(PortInUse, match=f"MILLRACE_ONE_PORT = {port}: the port is in use by .*{os.getpid()}"):
            machine.start()
    assert not (machine.home / "supervisord.log").exists()


def test_machine__port_taken_after_it_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port taken while the processes start is reported by variable and holder, and everything is stopped."""
    with taken(stand_in("one")) as (program, port):
        machine = Machine(tmp_path / "m", MachineSettings.load_to_stay(), found=[program])
        with monkeypatch.context() as while_it_was_free:
            while_it_was_free.setattr(traces, "holder", lambda _: None)
            machine.start()
        with pytest.raises(PortInUse, match=f"MILLRACE_ONE_PORT = {port}: the port is in use by .*{os.getpid()}"):
            machine.wait_ready(timeout_seconds=30)
    assert traces.marked(machine.home) == []


def test_stand_ins__take_other_ports_while_one_is_in_use(make: Make) -> None:
    """The machines of these tests start although somebody else listens on their port."""
    with taken(stand_in("one")) as (program, port):
        machine = make(program)
        machine.start()
        machine.wait_ready(timeout_seconds=30)

    assert machine.programs[0].port != port


def test_machine__stop_ends_jobs_that_left_their_session(make: Make, tmp_path: Path) -> None:
    """A job in a session of its own is found by its mark and ended, too."""
    note = tmp_path / "job.pid"
    machine = make(stand_in("one", "--child", str(note)))
    machine.start()
    machine.wait_ready(timeout_seconds=30)
    job = psutil.Process(int(note.read_text()))

    assert job.is_running()
    assert [words.split()[0] for words in machine.stop()] == [str(job.pid)]
    assert not job.is_running()


def test_machine__two_stand_side_by_side(make: Make) -> None:
    """Stopping one machine leaves another one alone."""
    left, right = make(stand_in("one"), home="left"), make(stand_in("one"), home="right")
    for machine in (left, right):
        machine.start()
        machine.wait_ready(timeout_seconds=30)
    left.stop()

    assert right.readiness() == {"one": None}


def test_machine__daemon_killed(make: Make) -> None:
    """When the keeper itself was killed, a start says what is left, and a stop clears it."""
    machine = make(stand_in("one"))
    machine.start()
    machine.wait_ready(timeout_seconds=30)
    keeper = int((machine.home / "supervisord.pid").read_text())
    psutil.Process(keeper).kill()
    os.waitpid(keeper, 0)

    with pytest.raises(SettingsError, match="of an earlier start are left"):
        machine.start()
    machine.stop()
    machine.start()
    machine.wait_ready(timeout_seconds=30)


def test_machine__passing_program_runs_before_the_next(make: Make, tmp_path: Path) -> None:
    """A program that runs once has ended well before its followers start; when it fails, they do not start at all."""
    once = Program(name="topics", command=(sys.executable, "-c", "raise SystemExit(3)"), once=True)
    machine = make(once, stand_in("one"))

    with pytest.raises(NotStarted, match="topics ended with 3"):
        machine.start()
    assert "one" not in machine.restarts()


def test_machine__files_belong_to_the_owner_alone(make: Make) -> None:
    """Socket, logs and settings on disk are open to nobody else, and no inet port controls the processes."""
    machine = make(stand_in("one"))
    machine.start()
    machine.wait_ready(timeout_seconds=30)

    assert stat.S_IMODE((machine.home / "supervisor.sock").stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE((machine.home / "logs" / "one.log").stat().st_mode) & 0o077 == 0
    assert not re.search("inet_http_server", (machine.home / "supervisord.conf").read_text())
