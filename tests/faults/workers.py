"""Worker processes and traffic for the tests that kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from confluent_kafka import Producer

from deploy.edge.kafka import producer, topic_name
from deploy.edge.settings import Settings
from deploy.verify.__main__ import verify
from deploy.verify.accounts import Account
from schemas.codec import encode
from schemas.records import TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC

WORKLOADS = ("news", "filings", "support", "intents", "sentiment", "risk")


def write_workloads(folder: Path) -> None:
    """Write a small workload file for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in WORKLOADS:
        folder.joinpath(f"{name}.toml").write_text(f'name = "{name}"\nlabels = ["up", "down"]\n')


class Worker:
    """One worker process, with its own state folder that a restart finds again."""

    def __init__(self, settings: Settings, number: int, stages: str = "curate") -> None:
        self._settings, self._number, self._stages = settings, number, stages
        self.log = settings.state_dir / f"worker-{number}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        state = self._settings.state_dir / f"worker-{self._number}"
        state.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "MILLRACE_BOOTSTRAP_SERVERS": self._settings.bootstrap_servers,
            "MILLRACE_TOPIC_PREFIX": self._settings.topic_prefix,
            "MILLRACE_WORKLOADS_DIR": str(self._settings.workloads_dir),
            "MILLRACE_STATE_DIR": str(state),
            "MILLRACE_METRICS_PORT": "0",
            "MILLRACE_SESSION_TIMEOUT_SECONDS": "6",
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "streams.app", "--stages", self._stages], env=environment, stderr=log, stdout=log
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start again where the process has ended, as a supervisor would."""
        if self.process.poll() is not None:
            self.process = self._start()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def running(settings: Settings, count: int) -> Iterator[list[Worker]]:
    """Run workers, and end them."""
    workers = [Worker(settings, number) for number in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.thaw()
                worker.kill()


class Feed:
    """Traffic that goes on until it is told to end."""

    def __init__(self, settings: Settings) -> None:
        self.records = 0
        self._settings, self._ended = settings, Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """End the traffic; all of it is acknowledged afterwards."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            feed(self._settings, range(self.records, self.records + 30))
            self.records += 30


@contextmanager
def flowing(settings: Settings) -> Iterator[Feed]:
    """Let traffic flow until it is told to end, or the test fails."""
    traffic = Feed(settings)
    try:
        yield traffic
    finally:
        traffic.end()


def feed(settings: Settings, numbers: range) -> None:
    """Produce distinct traffic records, spread over the workloads."""
    client = Producer(producer(settings))
    for number in numbers:
        workload = WORKLOADS[number % len(WORKLOADS)]
        record = TrafficRecord(
            workload=workload, event_time=datetime.now(UTC),
            text=" ".join(f"w{number * 7919 + i * i * 104729}" for i in range(12)),
        )  # fmt: skip
        client.produce(
            topic_name(settings, TRAFFIC), encode(record), workload.encode(), partition_of(workload, PARTITIONS)
        )
        client.poll(0)
    assert client.flush(30) == 0


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll a condition up to a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


def curated(settings: Settings) -> Account:
    """Return the account of the curate stage, by `verify`."""
    return verify(settings)[0]
