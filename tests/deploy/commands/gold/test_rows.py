"""Files of human labels, and the message for a mistake in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.commands.gold.rows import GoldRow, read_rows
from schemas.errors import BadInput
from schemas.workload import Workload

NEWS = Workload(name="news", labels=["earnings", "mergers"], aliases={"m&a": "mergers"})


def written(folder: Path, name: str, text: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_csv__and_json_lines_say_the_same(tmp_path):
    """Both forms give text, label in the workload's spelling, annotator and line; other columns are left alone."""
    table = written(
        tmp_path, "a.csv", 'annotator,text,label,note\nann,"Acme, Inc. rises",EARNINGS,x\nbo,Acme buys,m&a,\n'
    )
    lines = written(
        tmp_path, "a.jsonl",
        '{"annotator": "ann", "text": "Acme, Inc. rises", "label": "earnings"}\n\n'
        '{"annotator": "bo", "text": "Acme buys", "label": "mergers", "note": 3}\n',
    )  # fmt: skip

    assert read_rows(table, NEWS) == [
        GoldRow(2, "Acme, Inc. rises", "earnings", "ann"), GoldRow(3, "Acme buys", "mergers", "bo"),
    ]  # fmt: skip
    assert [(row.text, row.label, row.annotator) for row in read_rows(lines, NEWS)] == [
        (row.text, row.label, row.annotator) for row in read_rows(table, NEWS)
    ]


def test_annotator__of_the_command_fills_what_the_file_leaves_open(tmp_path):
    """--annotator speaks for the lines that name nobody, and for no other."""
    file = written(tmp_path, "a.csv", "text,label,annotator\nA,mergers,\nB,mergers,bo\n")

    assert [row.annotator for row in read_rows(file, NEWS, "ann")] == ["ann", "bo"]


@pytest.mark.parametrize(
    ("name", "text", "field", "says"),
    [
        ("a.csv", "text,label,annotator\nA,mergers,ann\n,mergers,ann\n", "a.csv line 3: text", "needs a text"),
        ("a.csv", "text,label,annotator\nA,weather,ann\n", "a.csv line 2: label", "earnings, mergers"),
        ("a.csv", "text,label\nA,mergers\n", "a.csv line 2: annotator", "--annotator"),
        ("a.csv", "text,annotator\nA,ann\n", "a.csv: header", "column 'label'"),
        ("a.csv", "", "a.csv: header", "column 'text'"),
        ("a.csv", 'text,label,annotator\n"A,mergers,ann\n', "a.csv after line 1", "is no CSV"),
        ("a.csv", "text,label,annotator\n", "FILE", "holds no line"),
        ("a.csv", b"text,label,annotator\nA\xff,mergers,ann\n", "FILE", "not UTF-8"),
        ("a.jsonl", '{"text": "A", "label": "mergers", "annotator": "a"}\n{\n', "a.jsonl line 2", "no JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl line 1", "must be an object"),
        ("a.jsonl", '{"text": 7, "label": "mergers", "annotator": "a"}\n', "a.jsonl line 1: text", "needs a text"),
    ],
)
def test_mistake__is_told_by_line_and_field(tmp_path, name, text, field, says):
    """A file with a mistake is refused whole, with the line, the field and the remedy."""
    with pytest.raises(BadInput) as caught:
        read_rows(written(tmp_path, name, text), NEWS)

    assert caught.value.field.endswith(field)
    assert says in caught.value.remedy


def test_file__that_is_not_there(tmp_path):
    """A missing file is named by its path."""
    with pytest.raises(BadInput, match="cannot be read"):
        read_rows(tmp_path / "none.csv", NEWS)
