"""`millrace window` on a real DuckDB file, with and without a worker that holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy.commands.window.__main__ import main
from deploy.commands.window.copied import copied
from deploy.edge.stores import window_copy
from schemas.errors import Unavailable
from schemas.records import LabelKind, LabelRecord, Split
from streams.window.columns import Labelled
from streams.window.copying import give
from streams.window.store import Store
from tests.streams.doubles import NAME, PARTITION, START, label
from tests.streams.window.test_corrections import corrected

RECORDS: list[LabelRecord] = [
    *(label(number, "other", split=Split.TRAIN, source="desk") for number in range(8)),
    *(label(number, "mergers", split=Split.TEST, propensity=0.5 if number % 2 else 1.0) for number in range(8, 12)),
    label(12, "gone", split=Split.TRAIN),
    label(13, "other", split=Split.TRAIN, kind=LabelKind.VOTE, event_time=START + timedelta(days=3)),
    label(0, "mergers", split=Split.TRAIN, source="desk"),  # a second label of a record
    label(1, "", text="", kind=LabelKind.ERASURE),
]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of a worker that is not running."""
    store = Store(window_copy.folder(tmp_path) / window_copy.STORE)
    store.write([Labelled(PARTITION, at, record) for at, record in enumerate(RECORDS)], "topic")
    store.close()
    tmp_path.joinpath("news.toml").write_text('name = "news"\nlabels = ["earnings", "mergers", "other"]\n')
    return tmp_path


def run(state: Path, *arguments: str) -> Result:
    environment = {"MILLRACE_STATE_DIR": str(state), "MILLRACE_WORKLOADS_DIR": str(state), "COLUMNS": "160"}
    return CliRunner(env=environment).invoke(main, arguments)


@contextmanager
def worker(state: Path) -> Iterator[None]:
    """Hold the file in another process that answers as the worker's tick does."""
    code = (
        "import sys, time; from datetime import UTC, datetime; from pathlib import Path;"
        "from streams.window.copying import give; from streams.window.store import Store;"
        "folder = Path(sys.argv[1]); store = Store(folder / 'window.duckdb'); print('held', flush=True)\n"
        "while True: give(store, folder, datetime.now(UTC)); time.sleep(0.02)"
    )
    command = [sys.executable, "-c", code, str(window_copy.folder(state))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.kill()


def left(state: Path) -> set[str]:
    return {file.name for file in window_copy.folder(state).iterdir()} - {window_copy.STORE, f"{window_copy.STORE}.wal"}


def test_query__while_a_worker_holds_the_file(state: Path) -> None:
    """The worker gives a copy, the answer is the same as without one, and nothing is left behind."""
    sql = "SELECT label, count(*) AS number FROM rows GROUP BY label ORDER BY label"
    alone = run(state, "query", sql, "--json")
    with worker(state):
        asked = run(state, "query", sql, "--json")

    assert asked.exit_code == alone.exit_code == 0, asked.output
    assert asked.stdout == alone.stdout
    assert [json.loads(line) for line in asked.stdout.splitlines()] == [
        {"label": "gone", "number": 1}, {"label": "mergers", "number": 5}, {"label": "other", "number": 7},
    ]  # fmt: skip
    assert left(state) == set()


def test_query__tells_how_old_the_copy_is(state: Path) -> None:
    """The table has the columns' names, the number of rows and the age of the copy."""
    shown = run(state, "query", "SELECT record_id FROM rows WHERE label = 'gone'").stdout.split()

    assert shown[:4] == ["record_id", "record-12", "1", "row"]
    assert shown[4::3] == ["copied", "ago"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM rows", "`DESCRIBE rows` lists the columns"),
        ("DELETE FROM rows", "rows"),
        ("FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("COPY rows TO '/tmp/x.csv'", "disabled by configuration"),
        ("SET enable_external_access = true", "locked"),
    ],
)
def test_query__that_is_wrong_or_wants_more(state: Path, sql: str, said: str) -> None:
    """A mistake is one line without a stack trace; no other file is read or written; the window stays as it is."""
    before = (window_copy.folder(state) / window_copy.STORE).read_bytes()
    result = run(state, "query", sql)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: SQL = ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert (window_copy.folder(state) / window_copy.STORE).read_bytes() == before
    assert left(state) == set()


def test_show__labels_that_were_corrected(state: Path) -> None:
    """A corrected row counts in its new class, and their number is shown."""
    store = Store(window_copy.folder(state) / window_copy.STORE)
    store.write([Labelled(PARTITION, len(RECORDS), corrected(5, "mergers", 5))], "topic")
    store.close()
    (found,) = json.loads(run(state, "show", "--json").stdout)

    assert {one["label"]: one["rows"]["TRAIN"] for one in found["classes"]} == {"other": 6, "mergers": 2, "gone": 1}
    assert found["corrected"] == 1
    assert "labels corrected by second answers: 1" in run(state, "show").stdout


def test_show__classes_splits_ages_and_effective_n(state: Path) -> None:
    """Erased records and earlier labels are left out; votes count as rows, not as labels; effective n is Kish's."""
    (found,) = json.loads(run(state, "show", "--json").stdout)
    classes: dict[str, Any] = {one["label"]: one for one in found["classes"]}

    assert {name: one["rows"] for name, one in classes.items()} == {
        "other": {"TRAIN": 7}, "mergers": {"TRAIN": 1, "TEST": 4}, "gone": {"TRAIN": 1},
    }  # fmt: skip
    assert [name for name, one in classes.items() if not one["known"]] == ["gone"]
    assert found["labels"] == {"TRAIN": 8, "VALIDATION": 0, "CERTIFICATION": 0, "TEST": 4}
    assert found["effective_n"]["TEST"] == pytest.approx(6**2 / 10)
    assert found["effective_n"]["TRAIN"] == 8
    assert classes["other"]["days"] == pytest.approx([0, 3 - 2 / 1_440])
    assert found["sources"] == {"desk": 7, "": 2}


def test_show__as_people_read_it(state: Path) -> None:
    """The table names what is no longer in the label set; a workload without rows is said to have none."""
    shown, none = run(state, "show", NAME).stdout, run(state, "show", "olds").stdout

    assert "gone (not in the label set)" in shown
    assert "sources of training rows: desk 7, none named 2" in shown
    assert "no rows of olds" in none


def test_window__that_is_not_there_or_does_not_answer(tmp_path: Path, state: Path) -> None:
    """A folder without a window is named; a worker that gives no copy is not waited for without end."""
    missing = run(tmp_path / "elsewhere", "query", "SELECT 1")
    assert missing.exit_code == 2
    assert "MILLRACE_STATE_DIR" in missing.stderr

    store = window_copy.folder(state) / window_copy.STORE
    code = f"import duckdb, sys; c = duckdb.connect({str(store)!r}); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Unavailable, match="gave no copy within"), copied(state, 0.2):
            pass
        holder.communicate("")
    assert left(state) == set()


def test_copy__that_the_disk_does_not_take(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked gets an error at once, the worker goes on, and abandoned copies are removed after ten minutes."""
    folder = window_copy.folder(state)
    store = Store(folder / window_copy.STORE)
    old = folder / f"left{window_copy.GIVEN}"
    old.touch()
    os.utime(old, (0, 0))
    monkeypatch.setattr(store, "copy", _full)
    asked = folder / f"one{window_copy.ASKED}"
    asked.touch()
    give(store, folder, START)
    store.close()

    assert left(state) == set()


def _full(file: Path) -> None:
    file.touch()
    raise OSError(28, "No space left on device")
