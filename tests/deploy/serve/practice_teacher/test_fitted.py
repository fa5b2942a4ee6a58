"""The fitted practice teacher learns its rows, is calibrated, and reports a wrong file in one line."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from deploy.serve.practice_teacher.fitted import FittedTeacher, read_rows
from schemas.errors import BadInput
from schemas.workload import Workload
from tests.deploy.serve.conftest import WORDS

WORKLOAD = Workload.parse(b'name = "news"\nlabels = ["up", "down", "never"]\naliases = { "plus" = "up" }\n')


def rows(count: int) -> list[tuple[str, str]]:
    """Texts whose second word decides the label, but for a random tenth of the rows."""
    found, chance = [], random.Random(3)
    for n in range(count):
        up = (n % 2 == 0) != (chance.random() < 0.1)
        found.append((f"{WORDS[n % 5]} {'rise' if n % 2 == 0 else 'fall'} {WORDS[n % 7]} {n}", "up" if up else "down"))
    return found


@pytest.fixture(scope="module")
def fitted(base_folder: Path) -> FittedTeacher:
    return FittedTeacher(WORKLOAD, rows(400), str(base_folder))


def test_fitted__judges_texts_it_never_saw(fitted: FittedTeacher) -> None:
    """It generalises from its rows, gives every label of the workload a probability, and they sum to one."""
    rise, fall = fitted.probabilities("globex rise 9999"), fitted.probabilities("globex fall 9999")

    assert rise[0] > 0.5 > rise[1]
    assert fall[1] > 0.5 > fall[0]
    assert sum(rise) == pytest.approx(1.0)
    assert rise[2] < 1e-6


def test_fitted__says_about_as_much_as_it_knows(fitted: FittedTeacher) -> None:
    """A tenth of its rows contradict the rule, so it is about nine tenths sure, not certain."""
    sure = [max(fitted.probabilities(f"acme {word} shares {n}")) for word in ("rise", "fall") for n in range(20)]

    assert sum(sure) / len(sure) == pytest.approx(0.9, abs=0.07)


def test_fitted__one_label_is_not_enough(base_folder: Path) -> None:
    """A model of one class would answer it always: refused."""
    with pytest.raises(BadInput, match="two labels"):
        FittedTeacher(WORKLOAD, [("acme rise", "up")] * 5, str(base_folder))


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.jsonl", "rows.parquet"])
def test_read_rows__reads_each_format_alike(tmp_path: Path, name: str) -> None:
    """CSV, JSONL and Parquet, gzip too, give the same rows; aliases become labels."""
    file = tmp_path / name
    if name.endswith(".parquet"):
        parquet.write_table(pa.table({"t": ["a, b", "c"], "l": ["UP", "plus"]}), file)
    elif "csv" in name:
        data = b't,l\r\n"a, b",UP\r\nc,plus\r\n'
        file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    else:
        file.write_text("\n".join(json.dumps(row) for row in ({"t": "a, b", "l": "UP"}, {"t": "c", "l": "plus"})))

    assert read_rows(file, WORKLOAD, "t", "l") == [("a, b", "up"), ("c", "up")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.csv", None, "no such file"),
        ("rows.txt", b"x", "must be .csv"),
        ("rows.csv", b"text,label\na,sideways\n", "must be one of up, down, never"),
        ("rows.csv", b"text,class\na,up\n", "lacks 'text' or 'label'"),
        ("rows.jsonl", b"{nonsense\n", "cannot be read"),
        ("rows.csv", b"\xff\xfe\x00", "cannot be read"),
        ("rows.csv.gz", b"no gzip", "cannot be read"),
        ("rows.parquet", b"no parquet", "cannot be read"),
    ],
)
def test_read_rows__a_wrong_file_is_one_line_with_code_2(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    """Missing, of another form, with an unknown label or without its columns: said so, with the remedy."""
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=reason):
        read_rows(file, WORKLOAD, "text", "label")
