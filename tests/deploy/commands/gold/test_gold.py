"""`millrace gold` on a real broker: what people say goes in redacted, and comes out as figures."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer
from pyarrow import parquet

from deploy.commands.gold.__main__ import main
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from deploy.edge.topics.framing import Framing
from schemas.codec import encode
from schemas.records import Provenance
from schemas.topics import CEILINGS, GOLD, LABELS
from streams.curate.gold import gold_texts
from tests.schemas.rules.statistics.test_ceiling import FOUND as CEILING
from tests.streams.doubles import NAME, PARTITION, label
from tests.streams.echo import read

pytestmark = pytest.mark.broker

MAIL = "ann@example.com"


@pytest.fixture
def place(topics: Settings) -> Settings:
    topics.workloads_dir.mkdir()
    topics.workloads_dir.joinpath("news.toml").write_text('name = "news"\nlabels = ["earnings", "mergers", "other"]\n')
    return topics


def gold(place: Settings, *arguments: str | Path) -> Result:
    environment = {
        "MILLRACE_BOOTSTRAP_SERVERS": place.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": place.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(place.workloads_dir),
        "COLUMNS": "200",
    }
    return CliRunner(env=environment).invoke(main, [str(each) for each in arguments])


def teach(place: Settings, count: int) -> None:
    client = Producer(producer(place))
    for number in range(count):
        record = label(number, "mergers", provenance=Provenance.TEACHER, propensity=0.5)
        client.produce(topic_name(place, LABELS), encode(record), NAME.encode(), PARTITION)
    client.produce(topic_name(place, CEILINGS), encode(CEILING), NAME.encode(), PARTITION)
    assert client.flush(20) == 0


def file_of(folder: Path, count: int) -> Path:
    file = folder / "gold.csv"
    rows = [f"Company {number} reports,{'other' if number % 4 == 0 else 'mergers'}" for number in range(count)]
    file.write_text("\n".join(("text,label", *rows)))
    return file


def test_gold__goes_in_and_judges_teacher_and_student(place, tmp_path):
    """A file of labels is taken in once however often it is added; teacher and student are judged by it."""
    teach(place, 300)
    for _ in range(2):
        added = gold(place, "add", file_of(tmp_path, 100), "--annotator", "ann")
    predictions = tmp_path / "predictions.parquet"
    ids = [f"record-{number}" for number in range(300)]
    parquet.write_table(pa.table({"record_id": ids, "student": ["mergers"] * 300}), predictions)
    shown = gold(place, "report", "news", "--predictions", predictions, "--json")
    found = json.loads(shown.stdout)
    figures = {one["name"]: one for one in found["figures"]}

    assert "news: 100 labels of 1 annotators on 100 texts" in added.stdout
    assert (found["gold"], found["unmatched"]) == (100, 0)
    assert figures["teacher's accuracy"]["n"] == found["anchors"]
    assert figures["student's agreement"]["interval"]["value"] == 1.0
    assert figures["student's accuracy"]["interval"]["value"] == pytest.approx(0.75)
    assert figures["student's accuracy"]["note"] == "prediction-powered by 200 more rows"
    assert figures["teacher's self-agreement"]["note"] == "no student can agree with it above 0.930"
    assert "effective n" in gold(place, "report").stdout


def test_gold__holds_no_personal_data(place, tmp_path):
    """Texts are redacted before they are stored, and so asked again; the worker passes over what it cannot read."""
    file = tmp_path / "gold.jsonl"
    file.write_text(json.dumps({"text": f"write  to {MAIL}", "label": "Other", "annotator": "bo"}))
    gold(place, "add", file)
    (stored,) = read(place, GOLD)

    client = Producer(producer(place))
    client.produce(topic_name(place, GOLD), b"no human label", NAME.encode(), PARTITION)
    assert client.flush(20) == 0
    (asked,) = gold_texts(place, Framing(place), NAME)

    assert (asked.text, asked.text_key, asked.origin.offset) == ("write to <EMAIL>", stored.text_key, 0)
    assert (stored.text, stored.label, stored.annotator, stored.file, stored.line) == (
        "write to <EMAIL>", "other", "bo", "gold.jsonl", 1,
    )  # fmt: skip


def test_gold__a_mistake_adds_nothing(place, tmp_path):
    """A bad line refuses the whole file in one line of text; without labels there is nothing to report."""
    file = tmp_path / "gold.csv"
    file.write_text("text,label,annotator\nA,mergers,ann\nB,weather,ann\n")
    refused, empty = gold(place, "add", file), gold(place, "report")

    assert (refused.exit_code, empty.exit_code) == (2, 2)
    assert "gold.csv line 3: label = 'weather'" in refused.stderr
    assert "has no human labels" in empty.stderr
    assert "choose one of news" in gold(place, "report", "olds").stderr
