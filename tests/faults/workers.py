"""Worker processes for the tests that break things, and waiting for what must come true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.edge.process.settings import Settings

ROOT: Final = Path(__file__).parents[2]
_WORKER: Final = ("streams",)


class Worker:
    """One worker process, with its own state folder that a restart finds again."""

    def __init__(
        self,
        settings: Settings,
        number: int,
        stages: str = "curate",
        *,
        program: Sequence[str] = _WORKER,
        environment: Mapping[str, str] | None = None,
        state: Path | None = None,
    ) -> None:
        """Start the worker.

        Args:
            settings: where the broker, the workloads and the artefacts are.
            number: of its folders and log.
            stages: what it runs.
            program: a module, and arguments before the worker's own, that starts in the worker's place the first time.
            environment: added to the process's.
            state: its state folder; None: one beside the log.
        """
        self._settings, self._stages, self._environment = settings, stages, environment or {}
        self.state = state or settings.state_dir / f"worker-{number}"
        self.log = settings.state_dir / f"worker-{number}.log"
        self.starts = 0
        self.process = self._start(program)

    def _start(self, program: Sequence[str]) -> subprocess.Popen[bytes]:
        for folder in (self.state, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "MILLRACE_BOOTSTRAP_SERVERS": self._settings.bootstrap_servers,
            "MILLRACE_TOPIC_PREFIX": self._settings.topic_prefix,
            "MILLRACE_WORKLOADS_DIR": str(self._settings.workloads_dir),
            "MILLRACE_ARTEFACTS_DIR": str(self._settings.artefacts_dir),
            "MILLRACE_STATE_DIR": str(self.state),
            "MILLRACE_METRICS_PORT": "0",
            "MILLRACE_SESSION_TIMEOUT_SECONDS": "6",
            **self._environment,
        }
        self.starts += 1
        command = [sys.executable, "-m", *program, "--stages", self._stages]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=environment, stderr=log, stdout=log, cwd=ROOT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Note it to stop, and return its exit code; 10 seconds are promised."""
        self.process.terminate()
        return self.process.wait(timeout=10)

    def restart(self) -> None:
        """Start again where the process has ended, as a supervisor would."""
        if self.process.poll() is not None:
            self.process = self._start(_WORKER)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def said(self, text: str) -> str | None:
        """Return the last line of its log that holds the text."""
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if text in line), None)


@contextmanager
def ending(*workers: Worker) -> Iterator[None]:
    """End workers, whatever happens in the block."""
    try:
        yield
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.thaw()
                worker.kill()


@contextmanager
def running(settings: Settings, count: int) -> Iterator[list[Worker]]:
    """Run workers, and end them."""
    workers = [Worker(settings, number) for number in range(count)]
    with ending(*workers):
        yield workers


def until(condition: Callable[[], bool], seconds: float, what: str, *workers: Worker) -> None:
    """Poll a condition up to a deadline; where it fails, show how the workers' logs end."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = "".join(f"\n{worker.log}:\n{worker.log.read_text()[-3000:]}" for worker in workers)
            raise AssertionError(f"not within {seconds:.0f} s: {what}{logs}")
        time.sleep(0.5)
