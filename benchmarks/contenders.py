"""The contenders as processes: the worker, the peers, and a plain client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks.ground import ROOT
from benchmarks.peers import environment
from deploy.edge.process.settings import Settings

_STOP_SECONDS: Final = 15.0
_WORK: Final = ("curate", "pass")


@dataclass(frozen=True)
class Contender:
    """A program that takes `traffic` to its endings, or passes it through."""

    name: str
    curates: tuple[str, ...]  # what follows `python -m`
    passes: tuple[str, ...]
    at_peers: bool = False  # runs in the peers' environment

    def command(self, *, passing: bool) -> list[str]:
        """Return the command line."""
        python = environment.python() if self.at_peers else sys.executable
        return [str(python), "-m", *(self.passes if passing else self.curates)]


def _peer(name: str, *, at_peers: bool = True) -> Contender:
    curates, passes = ((f"benchmarks.peers.{name}_program", work) for work in _WORK)
    return Contender(name, curates, passes, at_peers)


MILLRACE: Final = Contender("millrace", ("streams", "--stages", "curate"), ("benchmarks.pass_through",))
TO_THE_WINDOW: Final = Contender("millrace", ("streams", "--stages", "curate,label,window"), ())
CONTENDERS: Final = (MILLRACE, _peer("quix"), _peer("bytewax"), _peer("bare", at_peers=False))


class Running:
    """One contender's process."""

    def __init__(self, contender: Contender, settings: Settings, number: int = 0, *, passing: bool = False) -> None:
        state = settings.state_dir / f"{contender.name}-{number}"
        state.mkdir(parents=True)
        own_settings = settings.model_copy(update={"state_dir": state})
        names = ("bootstrap_servers", "topic_prefix", "workloads_dir", "state_dir", "artefacts_dir", "metrics_port")
        environ = os.environ | {f"MILLRACE_{name.upper()}": str(getattr(own_settings, name)) for name in names}
        self._name, self._log = contender.name, state / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                contender.command(passing=passing), env=environ, cwd=ROOT, stdout=log, stderr=log
            )

    def cpu_seconds(self) -> float:
        """Return the CPU time the process has taken, in user and system mode."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def check(self) -> None:
        """See that it runs.

        Raises:
            RuntimeError: it ended.
        """
        code = self._process.poll()
        if code is not None:
            raise RuntimeError(f"{self._name} ended with {code}: {self._log.read_text(errors='replace')[-2_000:]}")

    def stop(self) -> None:
        """End it, by force if it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(
    contender: Contender, settings: Settings, count: int = 1, *, passing: bool = False
) -> Iterator[list[Running]]:
    """Run so many processes of a contender for as long as the block lasts."""
    processes: list[Running] = []
    try:
        for number in range(count):
            processes.append(Running(contender, settings, number, passing=passing))  # noqa: PERF401 - stopped if one fails
        yield processes
    finally:
        for process in processes:
            process.stop()
