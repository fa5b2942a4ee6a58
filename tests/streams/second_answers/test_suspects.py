"""Suspect labels asked again in other words, on a real broker: what is asked, what is written, what it costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from confluent_kafka import Producer
from pyarrow import parquet

from deploy.commands.labels.__main__ import main as labels_command
from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import Placed, read_placed, read_records
from schemas.codec import encode
from schemas.principals import Principal
from schemas.records import DeadLetter, LabelKind, LabelRecord, Origin, Provenance, Split
from schemas.topics import DEAD_LETTERS, LABELS
from streams.second_answers.__main__ import main
from streams.window.columns import Labelled
from streams.window.store import Store
from tests.streams.doubles import NAME, PARTITION, label
from tests.streams.label.teacher.server import Call, completion, says
from tests.streams.second_answers.test_ceiling import FILE, serving

ASKS = "Which of our desks gets this?"


def answer(call: Call) -> Any:
    """Answer by the number of the company: the first label, the likelier, a third, none."""
    number = int(call.text.split()[1])
    if number == 3:
        return web.json_response(completion("no idea"))
    return says(("mergers", "other", "earnings")[number % 3])(call)


def taught(number: int, said: str = "mergers", **fields: Any) -> LabelRecord:
    paid: dict[str, Any] = {"teacher_calls": 1, "calls": {"first": 1}, "provenance": Provenance.TEACHER}
    return label(number, said, **(paid | {"split": Split.TRAIN} | fields))


def produce(place: Settings, *records: LabelRecord) -> None:
    client = Producer(producer(place))
    for record in records:
        client.produce(topic_name(place, LABELS), encode(record), NAME.encode(), PARTITION)
    assert client.flush(20) == 0


def suspects(place: Settings, url: str, *arguments: str, budget: str = "", **columns: list[str]) -> Result:
    """Run the command on a list of seven suspects of class mergers."""
    folder = place.state_dir.parent
    place.workloads_dir.mkdir(exist_ok=True)
    (place.workloads_dir / "news.toml").write_text(
        f'{FILE}[request]\nsystem = "{ASKS}"\n[teacher]\nurl = "{url}"\nattempts = 1\n{budget}'
    )
    names = {"record_id": [f"record-{n}" for n in range(7)], "text": [f"Company {n} reports" for n in range(7)]}
    rows = names | {"teacher": ["mergers"] * 7, "likelier": ["other"] * 7} | columns
    parquet.write_table(pa.table(rows), folder / "suspects.parquet")
    return invoked(place, main, "suspects", str(folder / "suspects.parquet"), *arguments)


def invoked(place: Settings, program: Any, *arguments: str) -> Result:
    environment = {
        "MILLRACE_BOOTSTRAP_SERVERS": place.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": place.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(place.workloads_dir),
    }
    return CliRunner(env=environment).invoke(program, arguments)


def spent(place: Settings) -> dict[str, Any]:
    shown = invoked(place, labels_command, "spend", "--json")
    assert shown.exit_code == 0, shown.output
    return dict(json.loads(shown.stdout)["news"])


def window(place: Settings, kept: Sequence[Placed[LabelRecord]]) -> dict[str, str]:
    """Return each record's label in a window made of these."""
    store = Store(place.state_dir / "window.duckdb")
    store.write([Labelled(PARTITION, offset, record) for offset, _, record in kept], "topic")
    found = dict(store.query("SELECT record_id, label FROM standing"))
    store.close()
    return found


@pytest.mark.broker
def test_suspects__are_asked_once_in_other_words_and_their_labels_corrected(topics: Settings) -> None:
    """Each answer is a correction on `labels`, paid in the ledger, beside the list, and not asked for a second time."""
    gone = taught(5, "", kind=LabelKind.ERASURE, origin=Origin(topic="labels", partition=PARTITION, offset=5))
    rest = (taught(4, split=Split.TEST), taught(5), taught(6, "other"), gone)
    produce(topics, *(taught(n) for n in range(4)), *rest)
    with serving(answer) as server:
        done = suspects(topics, server.url)
        asked = [call.text for call in server.calls]
        answers = parquet.read_table(topics.state_dir.parent / "suspects-again.parquet").to_pydict()
        (topics.state_dir.parent / "suspects-again.parquet").unlink()
        (topics.state_dir.parent / "suspects-again.parquet").mkdir()
        none = suspects(topics, server.url)
        prompts = [call.prompt for call in server.calls]
    kept = list(read_placed(topics, Principal.SUSPECTS, Framing(topics), LABELS, LabelRecord, NAME))
    written = [one.record for one in kept if one.record.kind is LabelKind.CORRECTION]
    (letter,) = read_records(topics, Principal.SUSPECTS, Framing(topics), DEAD_LETTERS, DeadLetter, NAME)

    assert done.exit_code == 0, done.stderr
    assert sorted(set(asked)) == [f"Company {n} reports" for n in range(4)]
    assert not [prompt for prompt in prompts if ASKS in prompt]
    assert "4 suspects asked again, 5 calls, 123 tokens" in done.stdout
    for words in ("1 the same label", "1 the likelier label", "1 a third label", "1 no label",
                  "1 skipped: no training label", "1 skipped: not on `labels`",
                  "1 skipped: has another label now"):  # fmt: skip
        assert words in done.stdout
    assert (none.exit_code, len(prompts)) == (2, len(asked))
    assert "suspects-again.parquet': cannot be written" in none.stderr
    assert "4 skipped: asked in these words before" in none.stdout
    assert [(one.record_id, one.origin.offset, one.label) for one in written] == [
        ("record-0", 0, "mergers"), ("record-1", 1, "other"), ("record-2", 2, "earnings"),
    ]  # fmt: skip
    assert (letter.origin.topic, letter.record_id, letter.attempts) == ("labels", "record-3", 2)
    assert answers["second"] == ["mergers", "other", "earnings", None, None, None, None]
    assert window(topics, kept) == {
        "record-0": "mergers", "record-1": "other", "record-2": "earnings", "record-3": "mergers",
        "record-4": "mergers", "record-6": "other",
    }  # fmt: skip
    books = spent(topics)
    assert (books["residual"], books["calls"], books["corrections"], books["dead_letter_calls"]) == (0, 7 + 3 + 2, 3, 2)
    assert all(account.residual == 0 for account in verify(topics))


@pytest.mark.broker
def test_suspects__are_paid_from_the_workloads_budget(topics: Settings) -> None:
    """Of the list's head what the budget allows is asked and written; then the limit and a remedy are said."""
    produce(topics, *(taught(n) for n in range(7)))
    with serving(says("other")) as server:
        some = suspects(topics, server.url, "--first", "5", budget="budget = { total = { calls = 11 } }\n")
        refused = suspects(topics, server.url, budget="budget = { day = { calls = 11 } }\n")
        asked = sorted(call.text for call in server.calls)

    assert some.exit_code == 0, some.stderr
    assert "4 suspects asked again, 4 calls" in some.stdout
    assert "1 not asked: the budget is spent" in some.stdout
    assert asked == [f"Company {n} reports" for n in range(4)]
    assert spent(topics)["calls"] == 11
    assert refused.exit_code == 2
    assert "news: teacher.budget.day.calls = 11: 11 are spent: raise it, or wait until" in refused.stderr


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"teacher": ["weather"] * 7}, "a label that news does not know: 'weather'"),
        ({"record_id": [], "text": [], "teacher": [], "likelier": []}, "lists no suspects"),
    ],
    ids=["label", "empty"],
)
def test_suspects__a_file_that_cannot_be_asked_is_told(tmp_path: Path, columns: Any, words: str) -> None:
    """A file of another workload or without rows costs no call and is reported in one line."""
    place = Settings(state_dir=tmp_path / "state", workloads_dir=tmp_path / "workloads")
    refused = suspects(place, "http://127.0.0.1:9/v1", **columns)
    (tmp_path / "suspects.parquet").write_text("no parquet")
    broken = invoked(place, main, "suspects", str(tmp_path / "suspects.parquet"))

    assert (refused.exit_code, broken.exit_code) == (2, 2)
    assert words in refused.stderr
    assert "is no suspects.parquet of a run" in broken.stderr
