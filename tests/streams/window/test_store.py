"""The DuckDB file of a worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from schemas.errors import SettingsError
from schemas.records import LabelKind
from streams.window.columns import Labelled
from streams.window.store import Position, Store
from tests.streams.doubles import NAME, START, label, workload


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "window.duckdb"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    one = Store(file)
    yield one
    one.close()


def items(first: int, last: int, partition: int = 1) -> list[Labelled]:
    return [Labelled(partition, n, label(n, "other")) for n in range(first, last)]


def rows(store: Store, partition: int = 1) -> int:
    return store.counts(partition).total()


def test_write__same_batch_again(store: Store) -> None:
    """What was written before is passed over, also where a batch brings old and new."""
    store.write(items(0, 10), "topic")
    store.write(items(5, 15), "topic")

    assert rows(store) == 15
    assert store.position(1) == Position("topic", 15)


def test_write__fails_half_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and position are written together or not at all."""
    store.write(items(0, 10), "topic")
    with pytest.raises(duckdb.Error):
        store.write(items(10, 20), None)  # type: ignore[arg-type]  # the position cannot be written

    assert (rows(store), store.position(1)) == (10, Position("topic", 10))
    store.write(items(10, 20), "topic")
    assert rows(store) == 20


def test_position__in_memory_and_in_the_file(store: Store, file: Path) -> None:
    """Whatever was written, cut, dropped or failed, what the store says is what the next process reads."""
    store.write(items(0, 10) + items(0, 3, partition=2), "topic")
    store.write(items(10, 20), "made again")
    store.cut(1, 15)
    store.write(items(15, 18), "made again")
    with pytest.raises(duckdb.Error):
        store.write(items(18, 30), None)  # type: ignore[arg-type]
    store.drop(2)
    positions = {partition: store.position(partition) for partition in (1, 2)}
    store.close()

    again = Store(file)
    assert positions == {1: Position("made again", 18), 2: None}
    assert {partition: again.position(partition) for partition in (1, 2)} == positions
    again.close()


def test_cut__from_an_offset(store: Store) -> None:
    """What lies at or behind an offset is forgotten, and can be written again."""
    store.write(items(0, 10), "topic")
    store.cut(1, 4)
    assert (rows(store), store.position(1)) == (4, Position("topic", 4))

    store.write(items(4, 10), "topic")
    assert rows(store) == 10


def test_drop__one_partition(store: Store) -> None:
    """Dropping a partition leaves the others."""
    store.write(items(0, 10) + items(0, 10, partition=2), "topic")
    store.drop(1)

    assert (rows(store, 1), store.position(1), rows(store, 2)) == (0, None, 10)


def test_erasure__before_and_after(store: Store) -> None:
    """An erasure deletes what comes before it, not what is labelled after it, once all is settled."""
    erasure = label(3, "", kind=LabelKind.ERASURE)
    store.write([*items(0, 5), Labelled(1, 5, erasure), Labelled(1, 6, label(3, "mergers"))], "topic")

    assert rows(store) == 6
    store.erase(1, 7)
    assert sorted({held[1] for held in store.counts(1)}) == ["mergers", "other"]
    assert rows(store) == 5


def test_erasure__not_yet_settled(store: Store) -> None:
    """What is erased only above the settled offset stays in the file; cut away, the erasure comes again."""
    erasure = Labelled(1, 5, label(3, "", kind=LabelKind.ERASURE))
    store.write([*items(0, 5), erasure], "topic")
    store.erase(1, 5)
    assert rows(store) == 5

    store.cut(1, 5)
    store.erase(1, 6)
    assert rows(store) == 5
    store.write([erasure], "topic")
    store.erase(1, 6)
    assert rows(store) == 4


def test_prune__by_settled_rows_alone(store: Store) -> None:
    """Pruning counts back from the newest settled row: one that is not settled yet throws nothing out."""
    old = Labelled(1, 0, label(0, "other"))
    newest = Labelled(1, 1, label(1, "other", event_time=START + timedelta(days=100)))
    store.write([old, newest], "topic")

    store.prune(1, workload(window={"age_days": 30}), below=1)
    assert rows(store) == 2
    store.prune(1, workload(window={"age_days": 30}), below=2)
    assert (rows(store), store.pruned_days(1, NAME)) == (1, 30)


def test_file__reopened(file: Path) -> None:
    """A file keeps what was written."""
    first = Store(file)
    first.write(items(0, 10), "topic")
    first.close()
    second = Store(file)

    assert (rows(second), second.position(1)) == (10, Position("topic", 10))
    second.close()


def test_file__held_by_another_process(file: Path) -> None:
    """A second process learns which file is held and what to do."""
    code = f"import duckdb, sys; c = duckdb.connect({str(file)!r}); print('held', flush=True); sys.stdin.read()"
    file.parent.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match="another process holds this file"):
            Store(file)
        holder.communicate("")
    assert file.exists()


def test_file__damaged(file: Path) -> None:
    """A file that is no DuckDB file is made again: it is only a view."""
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not a database" * 1_000)
    store = Store(file)

    assert store.position(1) is None
    store.close()


def test_file__cannot_be_made(tmp_path: Path) -> None:
    """A folder that cannot be made is named."""
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(SettingsError, match="taken"):
        Store(tmp_path / "taken" / "window.duckdb")
