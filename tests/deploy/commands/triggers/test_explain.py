"""`millrace triggers explain`, on a real broker and real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer

from deploy.commands.triggers.explain import board_in
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.codec import encode
from schemas.errors import SettingsError
from schemas.events import RetrainRequest, TriggerVerdict
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, RETRAIN_REQUESTS
from schemas.trigger_board import TriggerBoard, board_file

NOW = datetime(2026, 1, 10, tzinfo=UTC)
MIX = TriggerVerdict(
    trigger="label-mix", fired=True, numbers={"statistic": 41.5, "threshold": 20.5, "effect": 0.31, "floor": 0.2},
    explanation="The mix is another.",
)  # fmt: skip


def request(epoch: int, workload: str = "news") -> RetrainRequest:
    return RetrainRequest(
        request_id=f"request-{epoch}", workload=workload, epoch=epoch, trigger="label-mix", verdicts=[MIX],
        labels_partition=partition_of(workload, PARTITIONS), labels_offset=100 * epoch, snapshot_id="s",
        snapshot_uri="/s", snapshot_sha256="ab", rows=1_234, job="{}", time=NOW,
    )  # fmt: skip


def board(**fields: object) -> TriggerBoard:
    values: dict[str, object] = {
        "workload": "news", "time": NOW, "epoch": 2, "new_labels": 17, "mode": "auto", "rule": "any",
        "asks": "label-mix", "held_back": "The run of request request-2 has not ended.", "verdicts": [MIX],
    } | fields  # fmt: skip
    return TriggerBoard(**values)  # type: ignore[arg-type]


def explain(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "MILLRACE_TOPIC_PREFIX": settings.topic_prefix,
        "MILLRACE_STATE_DIR": str(settings.state_dir), "MILLRACE_WORKLOADS_DIR": str(settings.workloads_dir),
        "COLUMNS": "200",
    }  # fmt: skip
    command = [sys.executable, "-m", "deploy.cli", "triggers", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.fixture
def settings(topics: Settings) -> Settings:
    """A workload, and three of its requests among another's."""
    topics.workloads_dir.mkdir(parents=True, exist_ok=True)
    (topics.workloads_dir / "news.toml").write_text('name = "news"\nlabels = ["a", "b"]\n')
    sender = Producer(producer(topics))
    for one in (request(1), request(1, "filings"), request(2)):
        sender.produce(topic_name(topics, RETRAIN_REQUESTS), encode(one), one.workload, partition=one.labels_partition)
    assert sender.flush(10) == 0
    return topics


def write(settings: Settings, text: str) -> Path:
    file = board_file(settings.state_dir, "news")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.broker
def test_explain__triggers_hold_and_requests(settings: Settings) -> None:
    """Every trigger with its numbers, what holds a request back, and the last requests, newest first."""
    write(settings, board().to_json())
    done = explain(settings, "news")

    assert done.returncode == 0, done.stderr
    for part in ("label-mix", "41.5", "20.5", "0.31", "asks: label-mix", "held back: The run of request request-2"):
        assert part in done.stdout
    assert done.stdout.index("epoch 2  2026") < done.stdout.index("epoch 1  2026")
    assert "* label-mix: The mix is another." in done.stdout


@pytest.mark.broker
def test_explain__as_json_without_a_worker_here(settings: Settings) -> None:
    """One line a workload; no board is null, and the requests are still there."""
    done = explain(settings, "--json")
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]

    assert (line["workload"], line["now"]) == ("news", None)
    assert [one["epoch"] for one in line["requests"]] == [1, 2]
    assert "is not there" in explain(settings).stdout


@pytest.mark.broker
def test_explain__mistakes(settings: Settings, tmp_path: Path) -> None:
    """An unknown workload, and a cluster that does not answer, are one line each."""
    unknown = explain(settings, "newz")
    gone = explain(settings.model_copy(update={"topic_prefix": "nobody."}), "news")

    assert (unknown.returncode, gone.returncode) == (2, 2)
    assert unknown.stderr == "error: WORKLOAD = 'newz': choose one of news\n"
    assert "millrace topics apply" in gone.stderr
    assert "Traceback" not in gone.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"workload": "news"}', '{"verdicts": [1]}'])
def test_board__that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """A damaged file is reported with its name and what becomes of it."""
    settings = Settings(state_dir=tmp_path)
    assert board_in(settings, "news") is None
    write(settings, text)

    with pytest.raises(SettingsError, match="half a minute"):
        board_in(settings, "news")
