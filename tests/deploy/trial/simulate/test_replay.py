"""A file that a user has, as traffic: every form alike, answers as recorded, mistakes named."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from deploy.trial.simulate.__main__ import main
from schemas.codec import decode
from schemas.records import AnsweredBy, TrafficRecord

ROWS = [
    {"key": "r1", "headline": 'Rates "held",\nagain', "kind": "Rates", "at": "2024-05-01T10:00:00Z"},
    {"key": "r2", "headline": "Köln bank fails", "kind": "banks", "at": "2024-05-01T11:00:00Z"},
    {"key": "r3", "headline": "Nobody knows", "kind": "mystery", "at": "2024-05-01T12:00:00Z"},
]
OPTIONS = ("--text", "headline", "--label", "kind", "--id", "key", "--time", "at")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one workload, which the settings name."""
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "desk.toml").write_text('name = "desk"\nlabels = ["rates", "banks"]\n')
    monkeypatch.setenv("MILLRACE_WORKLOADS_DIR", str(tmp_path / "workloads"))
    return tmp_path


def write(file: Path) -> Path:
    """Write the rows in the form that the file's name asks for."""
    plain = file.with_suffix("") if file.suffix == ".gz" else file
    if plain.suffix == ".csv":
        with plain.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(ROWS)
    elif plain.suffix == ".jsonl":
        plain.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        parquet.write_table(pa.Table.from_pylist(ROWS), plain)
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(plain.read_bytes()))
    return file


def play(folder: Path, file: Path, *options: str) -> tuple[Result, list[dict[str, Any]]]:
    out = folder / "out.jsonl"
    result = CliRunner().invoke(main, ["replay", str(file), "--workload", "desk", "--out", str(out), *options])
    return result, [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def records(lines: list[dict[str, Any]]) -> list[TrafficRecord]:
    return [decode(TrafficRecord, base64.b64decode(line["value"])) for line in lines]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "csv.gz", "jsonl.gz", "parquet.gz"])
def test_replay__of_each_form(ending: str, folder: Path) -> None:
    """Each form gives the same records, with the label as the teacher's recorded answer in the workload's spelling."""
    result, lines = play(folder, write(folder / f"rows.{ending}"), *OPTIONS)
    played = records(lines)

    assert result.exit_code == 0, result.output
    assert [row["headline"] for row in ROWS] == [record.text for record in played]
    assert [record.id for record in played] == ["r1", "r2", "r3"]
    assert [record.answer for record in played] == ["rates", "banks", "mystery"]
    assert {AnsweredBy.TEACHER} == {record.answered_by for record in played}
    assert "1 whose answer is no label" in result.output


def test_replay__without_columns_named(folder: Path) -> None:
    """Common names are found; ids and times are made up where there are none, the same each time."""
    file = folder / "plain.csv"
    file.write_text("Headline,other column\nOne,x\nTwo,y\n")
    _, lines = play(folder, file)
    _, again = play(folder, file)

    assert [record.text for record in records(lines)] == ["One", "Two"]
    assert [record.id for record in records(lines)] == ["plain-1", "plain-2"]
    assert lines == again


def test_replay__with_a_missing_column(folder: Path) -> None:
    """The error names the column and lists those that are there; nothing is played."""
    result, lines = play(folder, write(folder / "rows.csv"), "--text", "titel")

    assert result.exit_code == 2
    assert "'titel'" in result.output
    assert "key, headline, kind, at" in result.output
    assert not lines


def test_replay__of_traffic_records(folder: Path) -> None:
    """Five-field records and OpenAI exchanges pass byte by byte, the latter with a workload header."""
    five = '{"timestamp": 1, "workload_id": "w2", "client_id": "c", "request": {"messages": []}, "response": {}}'
    pair = '{"request":  {"messages": []}, "response": {"choices": []}}'
    file = folder / "log.jsonl"
    file.write_text(f"{five}\n{pair}\n")
    _, lines = play(folder, file)

    assert [five, pair] == [base64.b64decode(line["value"]).decode() for line in lines]
    assert [line["headers"] for line in lines] == [{}, {"workload": "desk"}]
    assert [line["workload"] for line in lines] == ["w2", "desk"]


def test_replay__shuffled_and_limited(folder: Path) -> None:
    """A seed shuffles, skip and limit part the shuffled rows: two parts have no row in common."""
    file = write(folder / "rows.jsonl")
    _, first = play(folder, file, *OPTIONS, "--seed", "3", "--limit", "1")
    _, rest = play(folder, file, *OPTIONS, "--seed", "3", "--skip", "1")

    assert {"r1", "r2", "r3"} == {record.id for record in records(first + rest)}


def test_replay__answers_of_nobody_known(folder: Path) -> None:
    """Answers of unknown origin are played as such, and none is played where none is wanted."""
    file = write(folder / "rows.csv")
    _, unknown = play(folder, file, *OPTIONS, "--answered-by", "unknown")
    _, none = play(folder, file, *OPTIONS, "--no-label")

    assert {(AnsweredBy.UNKNOWN, None)} == {(record.answered_by, record.model) for record in records(unknown)}
    assert {None} == {record.answer for record in records(none)}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bad.jsonl", b'{"text": "x"}\nnonsense\n', "after row 1"),
        ("bad.csv.gz", b"not gzip", "cannot be read"),
        ("bad.csv", b"text,label\nx\n", "another number of fields"),
        ("bad.csv", b"text,label\n", "no row"),
        ("bad.xlsx", b"PK", "no known ending"),
        ("bad.csv", b"text,time\nx,tomorrow\n", "row 1: time"),
    ],
)
def test_replay__of_a_broken_file(folder: Path, name: str, content: bytes, said: str) -> None:
    """A broken file is reported in one line that says where, with exit code 2."""
    (folder / name).write_bytes(content)
    result, _ = play(folder, folder / name)

    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_replay__of_a_hugging_face_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no file is loaded by the `datasets` library, here from a folder of that name; a split can be chosen."""
    (folder / "headlines").mkdir()
    (folder / "headlines" / "train.csv").write_text("text,label\nOne,rates\n")
    (folder / "headlines" / "test.csv").write_text("text,label\nTwo,banks\n")
    monkeypatch.chdir(folder)
    _, train = play(folder, Path("headlines"))
    _, test = play(folder, Path("headlines:test"))

    assert [record.text for record in records(train + test)] == ["One", "Two"]
