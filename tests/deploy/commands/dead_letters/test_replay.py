"""`millrace dead-letters` and `millrace trace` over real stages on a real broker: records come back under their ids."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.commands.dead_letters.__main__ import main
from deploy.commands.dead_letters.log import Log
from deploy.commands.dead_letters.plan import plan
from deploy.commands.dead_letters.replay import Replays, look
from deploy.commands.verify.__main__ import main as verify_main
from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, producer, topic_name
from schemas import ids
from schemas.codec import encode
from schemas.errors import Unavailable
from schemas.records import AnsweredBy, DeadLetter, DiscardReason, Origin, TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import CURATED, DEAD_LETTERS, DISCARDED, LABELS, PARTITIONS, TRAFFIC, Topic
from schemas.workload import Workload
from streams.curate.stage import CurateStage
from streams.label.stage import LabelStage
from tests.streams.echo import read, started, until

pytestmark = pytest.mark.broker

HOME = partition_of("news", PARTITIONS)
WRONG = (HOME + 1) % PARTITIONS
OTHERS = {"others": Workload(name="others", labels=["up", "down"])}
NEWS = {"news": Workload(name="news", labels=["up", "down"])}
NOW = datetime.now(UTC)
SECRET = "ann@example.com"


class Place:
    """A broker's topics, and the commands over them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.workloads_dir.mkdir(parents=True)
        settings.workloads_dir.joinpath("news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')

    def feed(self, value: bytes, partition: int = HOME) -> None:
        client = Producer(producer(self.settings))
        client.produce(topic_name(self.settings, TRAFFIC), value, b"news", partition, headers=[("trace", b"t-1")])
        assert client.flush(20) == 0

    def letters(self, *arguments: str, of: Any = main) -> Result:
        environment = {
            "MILLRACE_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "MILLRACE_TOPIC_PREFIX": self.settings.topic_prefix,
            "MILLRACE_ARTEFACTS_DIR": str(self.settings.artefacts_dir),
            "COLUMNS": "200",
        }
        result = CliRunner(env=environment).invoke(of, list(arguments))
        assert SECRET not in result.output
        return result

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.letters("list", "--json", *arguments).stdout.splitlines()]

    @asynccontextmanager
    async def curating(self, workloads: dict[str, Workload]) -> AsyncIterator[None]:
        async with started(self.settings, CurateStage(self.settings, workloads), "curate"):
            yield

    @asynccontextmanager
    async def labelling(self, workloads: dict[str, Workload]) -> AsyncIterator[None]:
        stage = LabelStage(self.settings, workloads)
        async with started(self.settings, stage, "label"):
            yield

    async def wait(self, topic: Topic, count: int) -> list[Any]:
        await until(lambda: len(read(self.settings, topic)) >= count)
        return read(self.settings, topic)


@pytest.fixture
def place(topics: Settings) -> Place:
    return Place(topics)


def traffic(number: int, **fields: Any) -> bytes:
    text = f"{SECRET} " + " ".join(f"w{number * 7919 + word * word * 104729}" for word in range(12))
    values: dict[str, Any] = {"answer": "up", "answered_by": AnsweredBy.TEACHER, "text": text} | fields
    return encode(TrafficRecord(workload="news", event_time=NOW, **values))


async def test_traffic__replayed_after_the_cause_is_mended__is_curated_under_the_id_it_would_have_had(
    place: Place,
) -> None:
    """On its own partition or on a wrong one; twice only if asked, and then it is a duplicate of itself."""
    place.feed(traffic(1))
    place.feed(traffic(2), WRONG)
    place.feed(b"no record")
    async with place.curating(OTHERS):
        await place.wait(DEAD_LETTERS, 3)
    chosen = ("replay", "--reason", "unknown_workload", "--since", "1h")
    dry, before = place.letters(*chosen, "--dry-run"), len(read(place.settings, DEAD_LETTERS))
    unanswered = place.letters(*chosen)  # the end of the input answers the question: nothing is sent
    done = place.letters(*chosen, "--yes")
    again = place.letters(*chosen, "--yes")
    assert done.exit_code == 0, done.output
    async with place.curating(NEWS):
        records = await place.wait(CURATED, 2)
        insisted = place.letters("replay", f"{HOME}:0", "--again", "--yes")
        (repeated,) = await place.wait(DISCARDED, 1)
    account = verify(place.settings)[0]

    assert (dry.exit_code, before) == (0, 3)
    assert (unanswered.exit_code, done.exit_code, again.exit_code, insisted.exit_code) == (1, 0, 1, 0)
    assert "replayed: 2 to traffic" in done.stdout
    assert "it was replayed before" in again.stdout
    assert {record.record_id for record in records} == {
        ids.record_id("news", None, HOME, 0), ids.record_id("news", None, WRONG, 0)
    }  # fmt: skip
    assert repeated.reason == DiscardReason.DUPLICATE_ID
    assert repeated.duplicate_of == ids.record_id("news", None, HOME, 0)
    assert (account.residual, account.in_flight, account.ended["re-keyed"]) == (0, 0, 1)


async def test_curated__replayed_after_the_cause_is_mended__is_labelled_once_under_its_own_id(place: Place) -> None:
    """Accounting stays even, the duplicate index has it once, and the way of the record can be followed."""
    place.feed(traffic(1))
    async with place.curating(NEWS), place.labelling(OTHERS):
        (letter,) = await place.wait(DEAD_LETTERS, 1)
    done = place.letters("replay", "--stage", "label", "--yes")
    twice = place.letters("replay", "--stage", "label", "--again", "--yes")
    place.feed(traffic(1))
    async with place.labelling(NEWS), place.curating(NEWS):
        (label,) = await place.wait(LABELS, 1)
        (duplicate,) = await place.wait(DISCARDED, 1)
        await until(lambda: not any(account.in_flight for account in verify(place.settings)))
    record_id = ids.record_id("news", None, HOME, 0)
    accounts = verify(place.settings)
    by_id, by_place = (
        json.loads(place.letters("trace", wanted, "--json", of=verify_main).stdout)
        for wanted in (record_id, f"traffic/{HOME}/0")
    )

    traced = place.letters("trace", record_id, of=verify_main).stdout

    assert (letter.stage, letter.record_id, done.exit_code, twice.exit_code) == ("label", record_id, 0, 1)
    assert (label.record_id, label.label) == (record_id, "up")
    assert (duplicate.reason, duplicate.duplicate_of) == (DiscardReason.DUPLICATE_TEXT, record_id)
    assert [account.residual for account in accounts] == [0, 0]
    assert accounts[1].ended == {"dead-letters": 1, "labels": 1}
    assert by_id == by_place
    assert [step["topic"] for step in by_id["steps"]] == ["traffic", "curated", "dead-letters", "curated", "labels"]
    assert "replayed from curated" in by_id["steps"][3]["what"]
    assert "labelled up by harvest" in traced
    assert (by_id["open"], by_id["gone"], "is not on this machine" in by_id["not_looked_at"]) == ([], [], True)


async def test_show__tells_all_of_a_letter_and_what_stands_of_its_record(place: Place) -> None:
    """Redacted bytes, the origin and its replays; never the record's own bytes."""
    place.feed(traffic(1, text=f"{SECRET} [bold]\x1b[2J"))
    async with place.curating(OTHERS):
        await place.wait(DEAD_LETTERS, 1)
    first = place.letters("show", f"{HOME}:0")
    place.letters("replay", "--yes")
    second = place.letters("show", f"{HOME}:0")
    table = place.letters("list")

    assert (first.exit_code, second.exit_code, table.exit_code) == (0, 0, 0)
    assert "is still there" in first.stdout
    assert "none so far; it can be replayed" in first.stdout
    assert '"text": "<EMAIL> [bold]' in first.stdout
    assert "\x1b[2J" not in first.stdout
    assert f"traffic/{HOME} at offset 1; not to be replayed" in second.stdout
    assert "1 of 1 letters shown; by reason: unknown_workload 1" in table.stdout


async def test_replay__of_what_cannot_be_replayed__says_why_and_exits_with_1(place: Place) -> None:
    """An origin that retention took, and a letter of the window stage."""
    place.feed(traffic(1))
    async with place.curating(OTHERS):
        await place.wait(DEAD_LETTERS, 1)
    window = DeadLetter(
        reason="bad_schema", detail="", stage="window", origin=Origin(topic="labels", partition=HOME, offset=0),
        time=NOW, payload=b"", payload_bytes=0, payload_sha256="", workload="news",
    )  # fmt: skip
    client = Producer(producer(place.settings))
    client.produce(topic_name(place.settings, DEAD_LETTERS), encode(window), b"news", HOME)
    assert client.flush(20) == 0
    start = TopicPartition(topic_name(place.settings, TRAFFIC), HOME, 1)
    admin = AdminClient(librdkafka(place.settings))
    admin.delete_records([start])[start].result(20)
    done = place.letters("replay", "--yes")

    assert done.exit_code == 1
    assert f"its origin traffic/{HOME} at offset 0 is gone" in done.stdout
    assert "a second copy of a record of labels would count twice" in done.stdout
    assert "can be replayed: none; cannot: 2" in done.stdout


async def test_two_people_who_replay_at_once__write_each_record_once(place: Place) -> None:
    """Whoever begins later takes over: the other one's transaction is refused, not doubled."""
    place.feed(traffic(1))
    async with place.curating(OTHERS):
        await place.wait(DEAD_LETTERS, 1)
    log = Log(place.settings)
    letters = list(log.letters())
    first = Replays(place.settings)
    ready = plan(letters, look(log, letters), again=False).ready
    other = place.letters("replay", "--yes")
    with pytest.raises(Unavailable, match="does somebody else replay"):
        list(first.send(log, ready))

    assert (len(ready), other.exit_code) == (1, 0)
    assert len(read(place.settings, TRAFFIC)) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--since", "yesterday"),
        ("list", "--reason", "nothing"),
        ("show", "99:0"),
        ("replay", "0:0", "--workload", "news"),
    ],
)
def test_mistake__is_one_line_with_code_2(place: Place, arguments: tuple[str, ...]) -> None:
    """A person's mistake names the option or argument and the remedy."""
    result = place.letters(*arguments)

    assert result.exit_code == 2
    assert "error" in result.stderr.lower()


def test_list__by_time_and_limit__shows_the_newest(place: Place) -> None:
    """Times are the broker's; the count by reason covers what is not shown."""
    client = Producer(producer(place.settings))
    for offset in range(3):
        letter = DeadLetter(
            reason="no_text", detail="", stage="curate", origin=Origin(topic="traffic", partition=offset, offset=9),
            time=NOW - timedelta(days=30), payload=b"", payload_bytes=0, payload_sha256="", workload="news",
        )  # fmt: skip
        client.produce(topic_name(place.settings, DEAD_LETTERS), encode(letter), b"news", offset)
        assert client.flush(20) == 0
    newest = place.listed("--since", "1h", "--limit", "2")

    assert [each["origin"]["partition"] for each in newest] == [1, 2]
    assert place.listed("--until", "1h") == []
    assert "1 of 3 letters shown; by reason: no_text 3" in place.letters("list", "--limit", "1").stdout


def test_trace__of_nothing__says_what_the_topics_still_keep(place: Place) -> None:
    """Exit code 1, and the reason may be retention: so what is kept is shown."""
    result = place.letters("trace", "no-such-record", of=verify_main)

    assert result.exit_code == 1
    assert "nothing is found of no-such-record; the topics keep: traffic nothing, curated nothing" in result.stderr
