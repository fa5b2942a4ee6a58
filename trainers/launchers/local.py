"""Jobs as child processes of this machine, one on each GPU, or one on the CPU where there is none.

A child gets its own session and outlives the dispatcher. It holds a lock on its run folder from birth (the descriptor
is inherited, so no moment is without it): whoever cannot take the lock knows that the job runs. One machine only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any, Final

import psutil

from trainers.launchers.protocol import JOB, LOG

PROCESS: Final = "process.json"
_LOCK: Final = "lock"
_NICE: Final = 5  # serving comes first on a machine that does both
_NVIDIA_SECONDS: Final = 20


class LocalLauncher:
    """Child processes on this machine."""

    def __init__(self, artefacts: Path, snapshots_url: str | None = None) -> None:
        self._artefacts = artefacts.resolve()
        self._snapshots = ["--snapshots", snapshots_url] if snapshots_url else []
        self._gpus = _gpus()
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def submit(self, folder: Path) -> int:
        """Start the job and return which attempt this is, from 1.

        Raises:
            RuntimeError: it runs already.
        """
        lock = _take_lock(folder)
        if lock is None:
            raise RuntimeError(f"{folder} has a running job")
        gpu = self._free_gpu(folder.parent)
        process: dict[str, Any] = {"attempt": self.attempts(folder) + 1, "gpu": gpu}
        _write(folder / PROCESS, process)
        try:
            with (folder / LOG).open("ab") as log:
                child = subprocess.Popen(
                    self._command(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(gpu),
                    start_new_session=True, pass_fds=(lock,),
                )  # fmt: skip
        finally:
            os.close(lock)
        self._children[folder] = child
        try:
            one = psutil.Process(child.pid)
            one.nice(_NICE)
            _write(folder / PROCESS, process | {"pid": child.pid, "started": one.create_time()})
        except psutil.Error:
            pass  # it has ended already: its folder says how
        return int(process["attempt"])

    def status(self, folder: Path) -> bool:
        """Return whether the job runs now, whoever started it."""
        child = self._children.get(folder)
        if child is not None and child.poll() is not None:  # reaps it
            del self._children[folder]
        lock = _take_lock(folder)
        if lock is None:
            return True
        os.close(lock)
        return False

    def attempts(self, folder: Path) -> int:
        """Return how often the job was started."""
        return int(_read(folder / PROCESS).get("attempt", 0))

    def cancel(self, folder: Path) -> None:
        """Stop the job if it runs, with everything it started."""
        process = _read(folder / PROCESS)
        try:
            if psutil.Process(process["pid"]).create_time() == process["started"]:  # not another with its number
                os.killpg(process["pid"], signal.SIGKILL)
        except (KeyError, psutil.NoSuchProcess, ProcessLookupError):
            return

    def logs(self, folder: Path, lines: int) -> list[str]:
        """Return the last lines the job wrote."""
        try:
            with (folder / LOG).open(encoding="utf-8", errors="replace") as log:
                return [line.rstrip() for line in deque(log, maxlen=lines)]
        except OSError:
            return []

    def capacity(self) -> int:
        """Return how many jobs there is room for at one time."""
        return max(1, self._gpus)

    def _free_gpu(self, runs: Path) -> int | None:
        taken = {_read(file).get("gpu") for file in runs.glob(f"*/{PROCESS}") if self.status(file.parent)}
        return next((gpu for gpu in range(self._gpus) if gpu not in taken), None)

    def _command(self, folder: Path) -> list[str]:
        threads = max(1, len(os.sched_getaffinity(0)) // self.capacity())
        return [
            sys.executable, "-m", "trainers.recipe", "--job", str(folder / JOB), "--out", str(folder),
            "--artefacts", str(self._artefacts), "--threads", str(threads), *self._snapshots,
        ]  # fmt: skip


def _gpus() -> int:
    """Count the NVIDIA GPUs of this machine, or those that CUDA_VISIBLE_DEVICES leaves."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() and one.strip() != "-1"])
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    try:
        found = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=_NVIDIA_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in found.stdout.splitlines()) if found.returncode == 0 else 0


def _environment(gpu: int | None) -> dict[str, str]:
    # Threads that spin while they wait make a job on a busy two-core machine seven times slower.
    more = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if gpu is not None:
        more["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu].strip() if visible else str(gpu)
    return os.environ | more


def _take_lock(folder: Path) -> int | None:
    """Return a descriptor that holds the folder's lock, or None where a job holds it."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _write(file: Path, value: dict[str, Any]) -> None:
    temporary = file.with_name(f".{file.name}")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.rename(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
