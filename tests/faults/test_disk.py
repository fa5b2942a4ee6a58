"""The volume of the window's DuckDB file runs full while labels flow."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from schemas.events import RetrainRequest
from schemas.topics import LABELS, RETRAIN_REQUESTS
from tests.faults.accounts import assert_nothing_lost_or_doubled
from tests.faults.conftest import Note
from tests.faults.topics import messages, records, taken
from tests.faults.traffic import Tables, Traffic, write_workloads
from tests.faults.undisturbed import essence, requests
from tests.faults.workers import Worker, ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB, in memory."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system to fill")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_disk__full_under_the_window__pauses_it_until_there_is_room(
    topics: Settings, note: Note, small_disk: Path, tmp_path: Path
) -> None:
    """Labelling goes on, the window waits, and every label is in it once there is room; each crossing asks once."""
    tables: Tables = {"triggers": {"count": 150, "least_rows": 20}, "teacher": {"may_train": True}}
    write_workloads(topics.workloads_dir, tables)
    traffic = Traffic(topics)
    window = Worker(topics, 1, "window", state=small_disk)
    with ending(window, Worker(topics, 0, "curate,label")):
        traffic.send(600)
        until(lambda: _labelled(topics), 60, "the first labels are there", window)
        until(lambda: taken(topics, "window", LABELS), 60, "they are in the window", window)
        filler = _fill(small_disk)
        traffic.send(900)
        until(lambda: _labelled(topics), 60, "labelling goes on", window)

        def refused() -> bool:
            window.restart()
            return window.said("partitions pause") is not None or window.starts > 3

        until(refused, 60, "the full disk is felt", window)
        waiting = not taken(topics, "window", LABELS)
        note(f"disk full: {window.said('partitions pause') or window.said('window')}")
        filler.unlink()

        def caught_up() -> bool:
            window.restart()
            return taken(topics, "window", LABELS)

        until(caught_up, 90, "the window has caught up", window)
        window.stop()
    with duckdb.connect(str(small_disk / "window" / "window.duckdb"), read_only=True) as store:
        rows = store.execute("SELECT count(*), count(DISTINCT (partition, label_offset)) FROM rows").fetchone()
    labels = messages(topics, LABELS)
    found = sorted(map(essence, records(topics, RETRAIN_REQUESTS, RetrainRequest)), key=lambda each: each.workload)
    note(f"{len(labels)} labels, {rows} rows in the window; {len(found)} requests; starts: {window.starts}")

    assert waiting
    assert rows == (len(labels), len(labels))
    assert found == requests(topics, labels, tmp_path / "undisturbed") != []
    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)


def _labelled(settings: Settings) -> bool:
    accounts = verify(settings)
    return accounts[0].inputs > 0 and not any(account.in_flight for account in accounts)


def _fill(folder: Path) -> Path:
    """Take all the room that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(65_536))
        except OSError:
            return filler
