"""`millrace erase` on a real broker: from the labels through the window and gold to what still rests on the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from deploy.commands.erase.__main__ import main
from deploy.commands.gold.__main__ import main as gold
from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_partition
from schemas.codec import decode, encode
from schemas.events import ModelState, ServedModel
from schemas.manifest import MANIFEST, StudentManifest
from schemas.principals import Principal
from schemas.records import LabelKind, LabelRecord, Provenance, Record
from schemas.topics import GOLD, LABELS, MODEL_STATE, Topic
from streams.curate.gold import gold_texts
from streams.window import snapshot
from streams.window.columns import Labelled
from streams.window.rows import Row
from streams.window.selection import select, training_limits
from streams.window.store import Store
from tests.streams.doubles import NAME, PARTITION, START, label, workload
from tests.streams.echo import read

pytestmark = pytest.mark.broker

COUNT = 60
ANNS = {f"record-{number}" for number in range(0, COUNT, 5)}


@pytest.fixture
def place(topics: Settings) -> Settings:
    """Sixty labels, every fifth of Ann's."""
    topics.workloads_dir.mkdir()
    topics.workloads_dir.joinpath("news.toml").write_text('name = "news"\nlabels = ["earnings", "mergers", "other"]\n')
    produce(topics, LABELS, *(
        label(number, ("mergers", "other")[number % 2], provenance=Provenance.TEACHER,
              client="ann" if number % 5 == 0 else "bo")
        for number in range(COUNT)
    ))  # fmt: skip
    return topics


def produce(place: Settings, topic: Topic, *records: Record) -> None:
    client = Producer(producer(place))
    for record in records:
        client.produce(topic_name(place, topic), encode(record), NAME.encode(), PARTITION)
    assert client.flush(20) == 0


def run(place: Settings, program: Any, *arguments: str | Path) -> Result:
    environment = {
        "MILLRACE_BOOTSTRAP_SERVERS": place.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": place.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(place.workloads_dir),
        "MILLRACE_ARTEFACTS_DIR": str(place.artefacts_dir),
    }
    return CliRunner(env=environment).invoke(program, [str(each) for each in arguments])


def erase(place: Settings, *arguments: str) -> dict[str, Any]:
    result = run(place, main, *arguments, "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    return dict(found)


def labels(place: Settings) -> list[Labelled]:
    return [
        Labelled(PARTITION, raw.offset(), decode(LabelRecord, raw.value() or b""))
        for raw in read_partition(place, Principal.ERASE, LABELS, PARTITION)
    ]


def window(file: Path, items: list[Labelled]) -> list[Row]:
    """Return the rows of a snapshot from a store, which reads on where it was."""
    store, of, below = Store(file), workload(), items[-1].offset + 1
    store.write(items, "topic")
    rows = select(store, of, PARTITION, below, training_limits(store, of, PARTITION, below))
    store.close()
    return rows


def test_erase__leaves_window_and_rebuild_and_tells_what_rests(place: Settings, tmp_path: Path) -> None:
    """No later snapshot holds the person's rows, nor a window made again; earlier ones and their models are named."""
    running = tmp_path / "running.duckdb"
    rows = window(running, labels(place))
    taken = snapshot.write(place.artefacts_dir / "snapshots", workload(), rows, epoch=1, partition=PARTITION, below=60)
    version = trained(place, taken.manifest.digest())
    champion = ServedModel(version=version, uri="/v", manifest_sha256="ab", base_model="b", labels=["other"])
    produce(place, MODEL_STATE, ModelState(workload=NAME, epoch=1, sequence=1, time=START, champion=champion))

    found = erase(place, "--subject", "ann")
    assert (found["now"], found["before"], found["on_their_way"]) == (len(ANNS), 0, 0)
    assert {held["record_id"] for held in found["snapshots"]} == ANNS
    assert {held["snapshot_id"] for held in found["snapshots"]} == {taken.manifest.snapshot_id}
    assert [model["model_version"] for model in found["models"]] == [version]
    assert found["in_production"] == {version: "champion"}

    kept = {f"record-{number}" for number in range(COUNT)} - ANNS
    now, again = window(running, labels(place)), window(tmp_path / "again.duckdb", labels(place))
    assert {row.record_id for row in rows} == kept | ANNS
    assert {row.record_id for row in now} == {row.record_id for row in again} == kept
    assert now == again


def trained(place: Settings, snapshot_sha256: str) -> str:
    manifest = StudentManifest(
        model_version="news-e1-0123", workload=NAME, labels=["other"], form="sequence-classification", base_model="b",
        base_sha256="", files=[], snapshot_sha256=snapshot_sha256, seed=1,
    )  # fmt: skip
    folder = place.artefacts_dir / "adapters" / NAME / manifest.model_version
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    return manifest.model_version


def test_erase__again_writes_nothing(place: Settings) -> None:
    """What was erased before is counted separately; a dry run erases nothing; a record alone can be erased."""
    assert erase(place, "--subject", "ann", "--dry-run")["now"] == len(ANNS)
    assert len(labels(place)) == COUNT
    erase(place, "--subject", "ann")
    found = erase(place, "--subject", "ann")
    one = erase(place, "--subject", "record-1", "news")

    assert (found["now"], found["before"], one["now"]) == (0, len(ANNS), 1)
    assert sum(item.record.kind is LabelKind.ERASURE for item in labels(place)) == len(ANNS) + 1
    assert all(account.residual == 0 for account in verify(place))


def test_erase__reaches_gold(place: Settings, tmp_path: Path) -> None:
    """Human labels of the person's texts are gone from the topic itself; all others stay, each once, in their order."""
    file = tmp_path / "gold.csv"
    file.write_text("\n".join(("text,label", *(f"Company {number} reports,other" for number in range(20)))))
    run(place, gold, "add", file, "--annotator", "cy")
    found = erase(place, "--subject", "ann")
    stays = [f"Company {number} reports" for number in range(20) if number % 5]

    assert found["gold"] == 4
    assert [record.text for record in read(place, GOLD)] == stays
    assert [one.text for one in gold_texts(place, Framing(place), NAME)] == stays
    assert erase(place, "--subject", "ann")["gold"] == 0
    run(place, gold, "add", file, "--annotator", "cy")
    assert len(read(place, GOLD)) == 16 + 20


def test_erase__of_nobody_is_told(place: Settings) -> None:
    """A name that matches nothing exits with 1, a mistake in an option with 2 and one line."""
    nobody, wrong = run(place, main, "--subject", "anna"), run(place, main, "--subject", "ann", "olds")

    assert nobody.exit_code == 1
    assert "0 records erased now, with 0 human labels" in nobody.stdout
    assert wrong.exit_code == 2
    assert "choose one of news" in wrong.stderr
    assert len(labels(place)) == COUNT
