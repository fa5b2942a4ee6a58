"""Framing: both framings on every topic, and what becomes of ids that the registry does not know."""

import io
import json
from datetime import UTC, datetime

import fastavro
import pytest

from deploy.edge.process.settings import Settings
from deploy.edge.topics import framing as module
from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing, NotYetKnown
from schemas import codec
from schemas.errors import ContractError, DeadLetterReason, RecordRejected, Unavailable
from schemas.records import Outcome, TrafficRecord
from schemas.topics import CATALOGUE, TRAFFIC, Topic
from tests.deploy.edge.topics.registry_double import Double
from tests.schemas.golden_form import golden

RECORD = TrafficRecord(workload="news", event_time=datetime(2026, 1, 1, tzinfo=UTC), text="Acme rises")
UNKNOWN = b"\x00\x00\x00\x00\x63rest"


def framing(double: Double) -> Framing:
    return Framing(Settings(registry_url=double.url, topic_prefix="t."))


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
def test_framing__of_every_topics_record(double: Double, topic: Topic):
    """A full record goes out under the id of its topic's subject, and comes back; a single object is read too."""
    one = framing(double)
    record = golden(topic.record)

    value = one.encode(topic, record)

    assert value[:5] == b"\x00\x00\x00\x00\x01"
    assert value[5:] == codec.encode(record)[10:]
    assert double.subjects == {f"t.{topic.name}-value"}
    for reader in (one, framing(double)):  # the second has to ask
        assert reader.decode(topic.record, value) == record
        assert reader.decode(topic.record, codec.encode(record)) == record


def test_framing__registers_once(double: Double):
    """After the start the registry is asked nothing more, in either direction, also while it is down."""
    one = framing(double)
    one.register(CATALOGUE)
    double.fails = True

    values = [one.encode(TRAFFIC, RECORD) for _ in range(3)]
    one.learn(values)

    assert [one.decode(TrafficRecord, value) for value in values] == [RECORD] * 3
    assert len(double.asked) == len(CATALOGUE)


def test_framing__without_registry():
    """Nothing is asked; records are single objects, and Confluent framing is rejected with what to do."""
    assert SINGLE_OBJECTS.encode(TRAFFIC, RECORD) == codec.encode(RECORD)
    SINGLE_OBJECTS.register(CATALOGUE)
    SINGLE_OBJECTS.learn([UNKNOWN])
    with pytest.raises(RecordRejected, match="registry_url"):
        SINGLE_OBJECTS.decode(TrafficRecord, UNKNOWN)


def test_unknown_id__waits_then_is_rejected(double: Double, monkeypatch: pytest.MonkeyPatch):
    """An id the registry does not know is worth some tries; then its record is rejected, and it is asked no more."""
    one = framing(double)
    with pytest.raises(NotYetKnown):
        one.learn([UNKNOWN, b"\x00", b"{}", None, b"\xc3\x01"])
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    one.learn([UNKNOWN])
    asked = len(double.asked)

    for _ in range(3):
        with pytest.raises(RecordRejected) as rejected:
            one.decode(TrafficRecord, UNKNOWN)

    assert rejected.value.reason == DeadLetterReason.BAD_SCHEMA
    assert (asked, len(double.asked)) == (2, 2)


def test_unknown_id__that_the_registry_comes_to_know(double: Double):
    """A writer may be ahead of the registry's replica: the same value is read once the id is there."""
    ahead = framing(double)
    value = ahead.encode(TRAFFIC, RECORD)
    known, double.schemas = double.schemas, []
    one = framing(double)
    with pytest.raises(NotYetKnown):
        one.decode(TrafficRecord, value)
    double.schemas = known

    assert one.decode(TrafficRecord, value) == RECORD


def test_unknown_ids__of_a_batch__wait_at_the_same_time(double: Double):
    """Every id of a batch is asked for before the first is waited for."""
    with pytest.raises(NotYetKnown):
        framing(double).learn([bytes([0, 0, 0, 0, number]) for number in (7, 8, 9)])

    assert sorted(double.asked) == ["/schemas/ids/7", "/schemas/ids/8", "/schemas/ids/9"]


def test_framing__while_the_registry_is_away(double: Double, monkeypatch: pytest.MonkeyPatch):
    """An outage is never a rejection, however long it lasts, and is not remembered."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    value = framing(double).encode(TRAFFIC, RECORD)
    one = framing(double)
    double.fails = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            one.decode(TrafficRecord, value)
        with pytest.raises(Unavailable):
            one.encode(TRAFFIC, RECORD)
    double.fails = False

    assert one.decode(TrafficRecord, value) == RECORD


def test_framing__a_schema_is_refused(double: Double):
    """A process does not start on a schema that the registry refuses."""
    double.refuses = True

    with pytest.raises(ContractError):
        framing(double).register([TRAFFIC])


def test_framing__another_records_schema(double: Double):
    """A body whose registered schema is of another record is rejected."""
    one = framing(double)

    with pytest.raises(RecordRejected):
        one.decode(Outcome, one.encode(TRAFFIC, RECORD))


def test_framing__an_older_writers_schema(double: Double):
    """A writer with fewer fields is read: what it left out has its default."""
    old = json.loads(codec.writer_schema(TrafficRecord).source)
    old["fields"] = [field for field in old["fields"] if field["name"] in ("workload", "event_time", "text")]
    number, body = double.add(json.dumps(old)), io.BytesIO()
    fastavro.schemaless_writer(body, old, {"workload": "news", "event_time": RECORD.event_time, "text": RECORD.text})

    assert framing(double).decode(TrafficRecord, codec.confluent_header(number) + body.getvalue()) == RECORD


def test_reframed(double: Double):
    """A single object of ours changes its framing alone; what an application wrote in another form stays as it is."""
    one = framing(double)

    assert one.reframed(TRAFFIC, codec.encode(RECORD)) == one.encode(TRAFFIC, RECORD)
    assert one.reframed(TRAFFIC, b'{"workload_id": "news"}') == b'{"workload_id": "news"}'
    assert SINGLE_OBJECTS.reframed(TRAFFIC, codec.encode(RECORD)) == codec.encode(RECORD)
