"""Suspect labels asked again: in other words, beside the list, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from pyarrow import parquet

from streams.suspects import main
from tests.streams.label.teacher_server import Call, completion, says
from tests.streams.test_ceiling import FILE, serving

ASKS = "Which of our desks gets this?"


def answer(call: Call) -> Any:
    """Answer by the number of the company: the first label, the likelier, a third, none."""
    number = int(call.text.split()[1])
    if number == 3:
        return web.json_response(completion("no idea"))
    return says(("mergers", "other", "earnings")[number])(call)


def suspects(folder: Path, url: str, *arguments: str, **columns: list[str]) -> Result:
    (folder / "workloads").mkdir(exist_ok=True)
    (folder / "workloads" / "news.toml").write_text(
        f'{FILE}[request]\nsystem = "{ASKS}"\n[teacher]\nurl = "{url}"\nattempts = 1\n'
    )
    names = {"record_id": [f"r{number}" for number in range(4)], "text": [f"Company {number}" for number in range(4)]}
    parquet.write_table(
        pa.table(names | {"teacher": ["mergers"] * 4, "likelier": ["other"] * 4} | columns), folder / "suspects.parquet"
    )
    environment = {"MILLRACE_WORKLOADS_DIR": str(folder / "workloads")}
    return CliRunner(env=environment).invoke(main, [str(folder / "suspects.parquet"), *arguments])


def test_suspects__are_asked_in_other_words_and_answered_beside_the_list(tmp_path):
    """Each suspect is asked without the application's prompt; the list keeps its rows and gets a second answer."""
    with serving(answer) as server:
        done = suspects(tmp_path, server.url)
    answers = parquet.read_table(tmp_path / "suspects-again.parquet").to_pydict()

    assert done.exit_code == 0, done.stderr
    assert answers["second"] == ["mergers", "other", "earnings", None]
    assert answers["text"] == [f"Company {number}" for number in range(4)]
    assert not [call for call in server.calls if ASKS in call.prompt]
    assert "4 suspects asked again, 3 calls, 123 tokens" in done.stdout
    for words in ("1 the same label", "1 the likelier label", "1 a third label", "1 no label"):
        assert words in done.stdout


def test_suspects__the_first_are_the_least_probable(tmp_path):
    """A bill can be bounded: only so many of the list's head are asked."""
    with serving(answer) as server:
        suspects(tmp_path, server.url, "--first", "2")

    assert sorted(call.text for call in server.calls) == ["Company 0", "Company 1"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"teacher": ["weather"] * 4}, "a label that news does not know: 'weather'"),
        ({"record_id": [], "text": [], "teacher": [], "likelier": []}, "lists no suspects"),
    ],
    ids=["label", "empty"],
)
def test_suspects__a_file_that_cannot_be_asked_is_told(tmp_path, columns, words):
    """A file of another workload or without rows costs no call and is told in one line."""
    refused = suspects(tmp_path, "http://127.0.0.1:9/v1", **columns)
    (tmp_path / "suspects.parquet").write_text("no parquet")
    broken = CliRunner(env={"MILLRACE_WORKLOADS_DIR": str(tmp_path / "workloads")}).invoke(
        main, [str(tmp_path / "suspects.parquet")]
    )

    assert (refused.exit_code, broken.exit_code) == (2, 2)
    assert words in refused.stderr
    assert "is no suspects.parquet of a run" in broken.stderr
