"""The embedded broker, run for real."""

import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from deploy.edge.topics.command_clients import broker_answers
from deploy.infra.kafka import embedded, jars
from deploy.infra.kafka.embedded import AlreadyRunning, EmbeddedKafka, default_jars_dir
from deploy.infra.ports import PortInUse, on_free_ports
from schemas.errors import ContractError, Unavailable

pytestmark = pytest.mark.broker


@pytest.fixture
def home(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    EmbeddedKafka(tmp_path / "home").stop()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.infra.kafka", "kafka", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)


def pid_of(kafka: EmbeddedKafka) -> int:
    running = kafka.running()
    assert running is not None
    return running.pid


def until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.faults
def test_broker__keeps_its_data_between_starts(home):
    """A topic made before a stop is there after the next start, on another port."""
    with EmbeddedKafka(home) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(20)
        process = psutil.Process(pid_of(kafka))
    assert not process.is_running()

    with EmbeddedKafka(home) as kafka:
        assert "kept" in AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_topics(timeout=10).topics


def test_broker__listens_on_loopback_only(broker):
    """No socket of the broker is reachable from another machine."""
    listening = [c.laddr.ip for c in psutil.Process(pid_of(broker)).net_connections() if c.status == "LISTEN"]

    assert listening
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_foreground__is_the_broker_and_obeys_sigterm(home):
    """In the foreground the process is the broker: a supervisor's SIGTERM stops it, and its data is released."""
    process = on_free_ports(1, lambda port: in_the_foreground(home, port))
    try:
        assert pid_of(EmbeddedKafka(home)) == process.pid
        assert run("status", "--home", str(home)).returncode == 0
        process.terminate()
        assert process.wait(40) in (0, 143)
    finally:
        process.kill()
        process.wait()

    assert run("status", "--home", str(home)).returncode == 1


def in_the_foreground(home: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deploy.infra.kafka", "kafka", "start", "--foreground"]
    process = subprocess.Popen([*command, "--home", str(home), "--port", str(port)])
    until(lambda: process.poll() is not None or broker_answers({"bootstrap.servers": f"127.0.0.1:{port}"}, 1.0))
    if process.poll() is not None:
        embedded._check_ports(port)  # taken while it started: the next one
    assert process.poll() is None
    return process


@pytest.mark.parametrize("above", [0, 1], ids=["broker", "controller"])
def test_start__port_taken_at_that_moment(home, monkeypatch, above):
    """Where no port is asked for, one that is taken after it was looked at (the controller's, too) leads to another."""
    with contextlib.ExitStack() as taken:
        look = embedded._check_ports
        looked_at: list[int] = []

        def look_and_take(port: int) -> None:
            look(port)
            if not looked_at:
                taken.enter_context(socket.create_server(("127.0.0.1", port + above)))
            looked_at.append(port)

        monkeypatch.setattr(embedded, "_check_ports", look_and_take)
        running = EmbeddedKafka(home).start()

    assert running.port not in {looked_at[0], looked_at[0] + 1}
    assert EmbeddedKafka(home).running() == running


def test_start__already_running(broker):
    """A second start in a home says which process runs there, and exits with 2."""
    done = run("start", "--home", str(broker.home), "--port", "21090")

    assert done.returncode == 2
    assert f"a broker runs in {broker.home} already (process {pid_of(broker)} at" in done.stderr
    with pytest.raises(AlreadyRunning):
        EmbeddedKafka(broker.home).start()


def test_start__port_taken(home):
    """A port in use is named, with what to do; no broker is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port = {port}: Address already in use; .*--port"):
            EmbeddedKafka(home, port).start()

    assert EmbeddedKafka(home).running() is None


def test_stale_identity__is_no_broker(broker, home):
    """A home whose file names a process that is no longer its broker has no broker, and nothing is stopped."""
    home.mkdir()
    shutil.copy(broker.home / "broker.json", home / "broker.json")
    text = (home / "broker.json").read_text().replace(str(broker.running().created), "12.0")
    (home / "broker.json").write_text(text)

    assert EmbeddedKafka(home).running() is None
    assert EmbeddedKafka(home).stop() is False
    assert broker.running() is not None


def test_jars__no_network(tmp_path):
    """Without the network the message says what is missing and three ways to get it."""
    with pytest.raises(Unavailable) as caught:
        jars.ensure(jars.of_broker(), tmp_path, "http://127.0.0.1:9/maven")

    assert "cannot be fetched" in str(caught.value)
    assert "MILLRACE_MAVEN_URL" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_jars__corrupt(broker, tmp_path):
    """A jar that is not the pinned one is named with both hashes and the remedy, before anything runs."""
    jar = jars.of_broker()[0]
    shutil.copy(default_jars_dir() / jar.file, tmp_path)
    with (tmp_path / jar.file).open("ab") as file:
        file.write(b"x")
    found = sha256((tmp_path / jar.file).read_bytes()).hexdigest()

    with pytest.raises(ContractError) as caught:
        jars.ensure([jar], tmp_path)

    assert str(caught.value).startswith(f"{jar.file}: its SHA-256 must be {jar.sha256}, but is {found}; delete ")


def test_jars__the_repository_sends_something_else(broker, tmp_path):
    """A fetched jar with another hash is refused and leaves nothing behind."""
    jar = jars.of_broker()[0]
    with mirror(tmp_path / "mirror", jar) as url:
        with pytest.raises(ContractError, match="MILLRACE_MAVEN_URL"):
            jars.ensure([replace(jar, sha256="0" * 64)], tmp_path / "libs", url)
        assert list((tmp_path / "libs").iterdir()) == []

        assert [path.name for path in jars.ensure([jar], tmp_path / "libs", url)] == [jar.file]


@contextlib.contextmanager
def mirror(folder: Path, jar: jars.Jar) -> Iterator[str]:
    """Serve a jar from a repository of our own."""
    place = folder / jar.group.replace(".", "/") / jar.name / jar.version
    place.mkdir(parents=True)
    shutil.copy(default_jars_dir() / jar.file, place)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_disk__too_small(tmp_path):
    """Too little room is reported with what is needed and what is free."""
    with pytest.raises(jars.NoSpace, match=r"1000000000000 MB are needed, \d+ MB are free"):
        jars.check_space(tmp_path, 10**18)


def test_bootstrap_servers__elsewhere(monkeypatch, tmp_path):
    """The embedded broker is not started for settings that name another machine's broker."""
    monkeypatch.setenv("MILLRACE_BOOTSTRAP_SERVERS", "kafka.example:9092")
    done = run("start", "--home", str(tmp_path))

    assert done.returncode == 2
    assert "the embedded broker listens on 127.0.0.1 alone" in done.stderr
