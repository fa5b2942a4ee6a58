"""A real Prometheus over a running machine, to see which panels of the board have nothing to show."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from deploy.infra.grafana.board import board, queries
from deploy.infra.machine.machine import Machine
from deploy.infra.ports import PortInUse, on_free_ports

_SCRAPES_SECONDS: Final = 12.0  # at one scrape a second, for rates over several of them
_UP_SECONDS: Final = 30.0


def empty_panels(machine: Machine, folder: Path) -> list[str]:
    """Return `title: query` of every query of the board that returns no series from this machine."""
    with _prometheus(machine, folder) as url:
        waiting = dict(enumerate(queries(board())))
        deadline = time.monotonic() + _SCRAPES_SECONDS
        while waiting and time.monotonic() < deadline:
            time.sleep(1.0)
            waiting = {place: query for place, query in waiting.items() if not _ask(url, query[1])}
        return [f"{title}: {expression}" for title, expression in waiting.values()]


def _configuration(machine: Machine) -> dict[str, Any]:
    ready = {program.name: urllib.parse.urlsplit(program.ready).netloc for program in machine.programs if program.ready}
    jobs = [{"job_name": name, "static_configs": [{"targets": [place]}]} for name, place in ready.items()]
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}


@contextmanager
def _prometheus(machine: Machine, folder: Path) -> Iterator[str]:
    (folder / "prometheus.json").write_text(json.dumps(_configuration(machine)))
    process, url = on_free_ports(1, lambda port: _start(folder, port))
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def _start(folder: Path, port: int) -> tuple[subprocess.Popen[bytes], str]:
    command = ["prometheus", f"--config.file={folder / 'prometheus.json'}", f"--storage.tsdb.path={folder / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    said, url = folder / f"prometheus-{port}.log", f"http://127.0.0.1:{port}"
    with said.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(process, f"{url}/-/ready")
    except BaseException:
        process.kill()
        process.wait()
        if "address already in use" in said.read_text():
            raise PortInUse("port", port, "choose another") from None
        raise
    return process, url


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer")


def _ask(url: str, expression: str) -> list[Any]:
    asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(asked, timeout=10) as response:  # noqa: S310 - our own loopback
        answer: dict[str, Any] = json.load(response)
    found: list[Any] = answer["data"]["result"]
    return found
