"""Snapshots on disk."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.manifest import canonical, rows_digest
from streams.window import snapshot
from streams.window.rows import Row
from tests.streams.doubles import NAME, START, workload

WORKLOAD = workload(("earnings", "mergers"))
ROWS = [
    Row(f"r{n}", f"c{n}", f"Tëxt {n}", "mergers", [0.25, 0.75] if n else None, "TRAIN", 1.0, "TEACHER",
        START.replace(hour=n, tzinfo=None), "teacher-7b", "prompt", 3 * n)
    for n in range(3)
]  # fmt: skip


def write(folder: Path, rows: list[Row], below: int = 9) -> snapshot.WrittenSnapshot:
    return snapshot.write(folder, WORKLOAD, rows, epoch=2, partition=1, below=below)


def test_snapshot__read_back(tmp_path: Path) -> None:
    """The Parquet file holds the rows by the contract's columns; the manifest says what it holds."""
    taken = write(tmp_path, ROWS)
    table = pq.read_table(Path(taken.uri) / "rows.parquet")

    assert table.column_names == [
        "record_id", "cluster_id", "text", "label", "class_probabilities", "split", "propensity", "provenance",
        "event_time",
    ]  # fmt: skip
    assert table.column("class_probabilities").to_pylist() == [None, [0.25, 0.75], [0.25, 0.75]]
    assert str(table.schema.field("event_time").type) == "timestamp[us, tz=UTC]"
    manifest = taken.manifest
    assert (Path(taken.uri) / "manifest.json").read_bytes() == manifest.to_bytes()
    assert Path(taken.uri) == tmp_path / NAME / manifest.snapshot_id
    assert (manifest.rows, manifest.labels_offset, manifest.epoch) == (3, 9, 2)
    assert manifest.class_counts["TRAIN"] == {"earnings": 0, "mergers": 3}
    assert (manifest.time_from, manifest.time_to) == ("2026-01-01T00:00:00+00:00", "2026-01-01T02:00:00+00:00")
    assert manifest.teacher_models == ["teacher-7b"]


def test_digest__of_canonical_rows(tmp_path: Path) -> None:
    """The digest is that of the rows as canonical JSON lines: known for these, and another if anything changes."""
    line = (
        '{"class_probabilities":null,"cluster_id":"c0","event_time":"2026-01-01T00:00:00+00:00","label":"mergers",'
        '"propensity":1.0,"provenance":"TEACHER","record_id":"r0","split":"TRAIN","text":"Tëxt 0"}\n'
    )

    assert rows_digest(map(snapshot.as_columns, ROWS[:1])) == sha256(line.encode()).hexdigest()
    assert rows_digest(map(snapshot.as_columns, ROWS)) != rows_digest(map(snapshot.as_columns, ROWS[:2]))


@given(
    st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.floats(0, 1), min_size=2, max_size=4),
    st.floats(0, 1, exclude_min=True), st.datetimes(),
)  # fmt: skip
def test_digest__spelled_as_canonical_json(text: str, soft: list[float], propensity: float, time: datetime) -> None:
    """Whatever a row holds, the digest is over the canonical JSON of its columns."""
    row = replace(ROWS[1], text=text, class_probabilities=soft, propensity=propensity, event_time=time)
    columns = snapshot.as_columns(row)
    line = canonical(columns | {"event_time": time.replace(tzinfo=UTC).isoformat()}) + b"\n"

    assert rows_digest([columns]) == sha256(line).hexdigest()


def test_digest__other_offset(tmp_path: Path) -> None:
    """The same rows at another offset are another snapshot with the same rows digest."""
    one, two = write(tmp_path, ROWS, below=9), write(tmp_path, ROWS, below=11)

    assert one.manifest.rows_sha256 == two.manifest.rows_sha256
    assert one.uri != two.uri


def test_write__again(tmp_path: Path) -> None:
    """Writing the same snapshot again touches nothing."""
    taken = write(tmp_path, ROWS)
    before = (Path(taken.uri) / "rows.parquet").stat()
    again = write(tmp_path, ROWS)

    assert again == taken
    assert (Path(taken.uri) / "rows.parquet").stat().st_mtime_ns == before.st_mtime_ns


def test_write__over_a_damaged_folder(tmp_path: Path) -> None:
    """A folder of the right name with the wrong content is replaced."""
    taken = write(tmp_path, ROWS)
    (Path(taken.uri) / "manifest.json").write_text("{")
    again = write(tmp_path, ROWS)

    assert (Path(again.uri) / "manifest.json").read_bytes() == taken.manifest.to_bytes()


def test_write__fails_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure leaves no folder behind that could be taken for a snapshot."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streams.window.snapshot.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, ROWS)

    assert list((tmp_path / NAME).iterdir()) == []


def test_manifest__says_policy_columns_prompts_and_effective_n(tmp_path: Path) -> None:
    """The numbers that chose the rows, the prompts behind the labels, and Kish's n of each split's propensities."""
    evaluation = [replace(row, split="TEST", propensity=p) for row, p in zip(ROWS, (1.0, 0.5, 0.25), strict=True)]
    manifest = write(tmp_path, evaluation).manifest

    assert manifest.effective_n["TEST"] == pytest.approx(7**2 / 21)
    assert manifest.effective_n["TRAIN"] == 0
    assert manifest.prompts == ["prompt"]
    assert manifest.columns["propensity"] == "double"
    assert (manifest.policy["quota"], manifest.policy["cluster_rows"], manifest.policy["similarity"]) == (1_000, 1, 0.7)
    assert "source_rows" not in manifest.policy


def test_times_used__of_the_longest_used_test_row() -> None:
    """A request counts once it comes after the oldest test row; training rows count for nothing."""
    used = [replace(row, split=split) for row, split in zip(ROWS, ("TRAIN", "TEST", "TEST"), strict=True)]

    assert snapshot.times_used(used, [1, 3, 4, 9]) == 3  # offsets 4 and 9 are behind 3, with the present one
    assert snapshot.times_used(used[:1], [1, 9]) == 1
    assert snapshot.times_used(used, []) == 1


def test_sweep__removes_what_a_kill_left_an_hour_ago(tmp_path: Path) -> None:
    """A folder in the making is left alone for an hour; a whole snapshot for ever."""
    taken = write(tmp_path, ROWS)
    old, young = tmp_path / NAME / ".unfinished-old", tmp_path / NAME / ".unfinished-young"
    for folder in (old, young):
        folder.mkdir()
    now = datetime.now(UTC)
    for folder, hours in ((old, 2), (Path(taken.uri), 2), (young, 0)):
        at = (now - timedelta(hours=hours)).timestamp()
        os.utime(folder, (at, at))

    assert snapshot.sweep(tmp_path, now) == [old]
    assert (old.exists(), young.exists(), Path(taken.uri).exists()) == (False, True, True)
