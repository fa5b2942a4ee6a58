"""Bytes of records: golden, both framings, and hostile."""

import contextlib
import io
import json
import struct
from datetime import UTC, datetime
from importlib import resources

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import AnsweredBy, TrafficRecord
from schemas.topics import CATALOGUE
from tests.schemas.golden_form import from_json, golden_pair, to_json, versions

ROOTS = [topic.record for topic in CATALOGUE]
TRAFFIC = TrafficRecord(workload="news", event_time=datetime(2026, 1, 1, tzinfo=UTC), text="Acme rises")


@pytest.mark.parametrize("record", ROOTS)
def test_golden_bytes__both_ways(record):
    """The bytes of a full record never change: they decode to the record, and the record encodes to them."""
    data, value = golden_pair(record, versions(record)[-1])

    assert to_json(codec.decode(record, data)) == value
    assert codec.encode(from_json(record, value)) == data


@pytest.mark.parametrize(
    ("record", "version"), [(record, version) for record in ROOTS for version in versions(record)[:-1]]
)
def test_golden_bytes_of_an_older_version__are_read_with_the_new_fields_defaults(record, version):
    """What an older release wrote is read by this one: every value it wrote, and defaults for the rest."""
    data, value = golden_pair(record, version)
    found = to_json(codec.decode(record, data))

    assert _beyond(found, value) <= _defaults(record)


def _beyond(found, value):
    """Return the fields that a reader found and no writer wrote, after a look that it found all that was written."""
    if isinstance(value, dict):
        assert set(value) <= set(found)
        more = {(name, json.dumps(found[name])) for name in set(found) - set(value)}
        return more.union(*(_beyond(found[name], value[name]) for name in value))
    if isinstance(value, list):
        return set().union(*(_beyond(*pair) for pair in zip(found, value, strict=True)))
    assert found == value
    return set()


def _defaults(record):
    """Return the name and default of each field that has one, of a record and of its parts."""
    found = set()

    def keep(part):
        if "default" in part:
            found.add((part["name"], json.dumps(part["default"])))
        return part

    json.loads(resources.files("schemas").joinpath("avsc", f"{record.__name__}.avsc").read_text(), object_hook=keep)
    return found


@pytest.mark.parametrize(
    ("schema", "header"),
    [("int", "c3018f5c393f1ad57572"), ("null", "c3018a8f25cce724dd63")],
)
def test_single_object_header__is_the_specifications(schema, header):
    """The header is C3 01 and the little-endian CRC-64-AVRO, as in the Avro project's own list of fingerprints."""
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))

    assert (codec.SINGLE_OBJECT + crc).hex() == header


@pytest.mark.parametrize("record", ROOTS)
def test_header__is_of_the_file_as_published(record):
    """A consumer that hashes the published .avsc finds the fingerprint before our bodies."""
    schema = json.loads(resources.files("schemas").joinpath("avsc", f"{record.__name__}.avsc").read_text())
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))

    assert codec.writer_schema(record).header == b"\xc3\x01" + crc


def test_confluent_framing__decodes_by_id():
    """A record in Confluent framing carries the registry's id and decodes with the schema of that id."""
    asked = []

    def schema_of_id(schema_id: int) -> str:
        asked.append(schema_id)
        return codec.writer_schema(TrafficRecord).source

    data = codec.encode(TRAFFIC, schema_id=77)

    assert data[:5] == b"\x00" + struct.pack(">I", 77)
    assert codec.decode(TrafficRecord, data, schema_of_id) == TRAFFIC
    assert asked == [77]


def test_decode__older_writer():
    """A record written without the optional fields is read with their defaults."""
    full = json.loads(codec.writer_schema(TrafficRecord).source)
    old = full | {"fields": [field for field in full["fields"] if "default" not in field]}
    out = io.BytesIO(b"\x00" + struct.pack(">I", 1))
    out.seek(5)
    fastavro.schemaless_writer(out, old, {"workload": "news", "event_time": TRAFFIC.event_time})

    found = codec.decode(TrafficRecord, out.getvalue(), lambda _: json.dumps(old))

    assert found == TrafficRecord(workload="news", event_time=TRAFFIC.event_time)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DeadLetterReason.BAD_ENCODING),
        (b"{}", DeadLetterReason.BAD_ENCODING),
        (b"\xc3", DeadLetterReason.BAD_ENCODING),
        (b"\xc3\x01short", DeadLetterReason.BAD_SCHEMA),
        (b"\xc3\x01" + bytes(8), DeadLetterReason.BAD_SCHEMA),
        (b"\x00\x00\x00\x00\x01body", DeadLetterReason.BAD_SCHEMA),
        (b"\x00\x00", DeadLetterReason.BAD_ENCODING),
        (codec.encode(TRAFFIC)[:-4], DeadLetterReason.BAD_SCHEMA),
    ],
)
def test_decode__bad_bytes(data, reason):
    """Bytes without a framing, with an unknown schema or cut short are rejected with their reason."""
    with pytest.raises(RecordRejected) as caught:
        codec.decode(TrafficRecord, data)

    assert caught.value.reason == reason


def test_decode__bytes_after_the_record():
    """Bytes left over after the record do not fit its schema."""
    with pytest.raises(RecordRejected) as caught:
        codec.decode(TrafficRecord, codec.encode(TRAFFIC) + b"x")

    assert caught.value.reason == DeadLetterReason.BAD_SCHEMA


@given(st.sampled_from(ROOTS), st.binary(max_size=300))
def test_decode__any_body_is_read_or_rejected(record, body):
    """Whatever follows a good header, decode returns a record or rejects it: nothing else escapes."""
    with contextlib.suppress(RecordRejected):
        codec.decode(record, codec.writer_schema(record).header + body)


@given(st.data())
def test_decode__any_change_of_one_byte_is_read_or_rejected(data):
    """One wrong byte in a good record never raises anything but a rejection."""
    good = bytearray(codec.encode(TRAFFIC))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RecordRejected):
        codec.decode(TrafficRecord, bytes(good))


@given(
    st.text(),
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.dictionaries(st.text(), st.text()),
    st.sampled_from(AnsweredBy),
    st.none() | st.floats(allow_nan=False),
)
def test_round_trip__traffic(text, time, attributes, answered_by, propensity):
    """What is encoded decodes to the same record, of the same types."""
    record = TrafficRecord(
        workload="w", event_time=time.replace(tzinfo=UTC), text=text, attributes=attributes,
        answered_by=answered_by, propensity=propensity,
    )  # fmt: skip

    found = codec.decode(TrafficRecord, codec.encode(record))

    assert found == record
    assert isinstance(found.answered_by, AnsweredBy)
