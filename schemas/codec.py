"""Records to bytes and back: Avro single-object encoding by default, Confluent framing where a registry is configured.

Single object: `C3 01`, the schema's CRC-64-AVRO fingerprint (8 bytes, little endian), the Avro body.
Confluent: `00`, the schema id (4 bytes, big endian), the Avro body. Readers accept both.
Bytes are decoded with their writer's schema and resolved to ours. Nothing here does I/O: who speaks to a registry
passes `schema_of_id` in.
"""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from importlib import resources
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, cast

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form

from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import Record

SINGLE_OBJECT: Final = b"\xc3\x01"
CONFLUENT: Final = b"\x00"

# What fastavro and our types raise for bytes or a writer's schema that do not fit.
_MISFITS: Final = (
    EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError, RecursionError,
    SchemaResolutionError, SchemaParseException, UnknownType,
)  # fmt: skip

R = TypeVar("R", bound=Record)

SchemaOfId = Callable[[int], str]  # the schema as JSON text

F = TypeVar("F", bound=Callable[..., Any])


def _once(function: F) -> F:
    """Cache a function of record classes; `cache` itself is typed so that mypy takes a class for unhashable."""
    return cast("F", cache(function))


@dataclass(frozen=True)
class WriterSchema:
    """A parsed schema with the bytes that precede a body written in it."""

    parsed: dict[str, Any]
    source: str  # as in the file: what goes into an `avro.schema` header
    header: bytes


@_once
def writer_schema(record: type[Record]) -> WriterSchema:
    """Return the current schema of a record class, read once from avsc/."""
    return _parse(resources.files("schemas").joinpath("avsc", f"{record.__name__}.avsc").read_text())


def encode(record: Record, schema_id: int | None = None) -> bytes:
    """Encode a record: in Confluent framing where the registry's `schema_id` is given, else as a single object."""
    schema = writer_schema(type(record))
    out = io.BytesIO()
    out.write(schema.header if schema_id is None else confluent_header(schema_id))
    fastavro.schemaless_writer(out, schema.parsed, to_datum(record))
    return out.getvalue()


def decode(record: type[R], data: bytes, schema_of_id: SchemaOfId | None = None) -> R:
    """Decode bytes in either framing.

    Raises:
        RecordRejected: the bytes have no known framing, an unknown schema, or do not fit their schema.
    """
    reader = writer_schema(record).parsed
    try:
        writer, start = _writer_of(record, data, schema_of_id)
        stream = io.BytesIO(data)
        stream.seek(start)
        datum = fastavro.schemaless_reader(stream, writer, None if writer is reader else reader)
        if stream.tell() != len(data):
            raise ValueError(f"{len(data) - stream.tell()} bytes are left over")
        return _made(record, cast("dict[str, Any]", datum))
    except _MISFITS as error:
        detail = f"bytes do not fit {record.__name__}: {type(error).__name__}"
        raise RecordRejected(DeadLetterReason.BAD_SCHEMA, detail, str(error)) from error


def confluent_header(schema_id: int) -> bytes:
    """Return the bytes that precede a body in Confluent framing."""
    return CONFLUENT + struct.pack(">I", schema_id)


def confluent_id(data: bytes) -> int | None:
    """Return the schema id that bytes in Confluent framing name; None of any others."""
    return int(struct.unpack(">I", data[1:5])[0]) if data[:1] == CONFLUENT and len(data) >= 5 else None


def is_framed(data: bytes) -> bool:
    """Return whether the bytes start like one of our two framings (JSON never does)."""
    return data[:2] == SINGLE_OBJECT or data[:1] == CONFLUENT


def to_datum(record: Record) -> dict[str, Any]:
    """Return the record as plain dicts and lists, as Avro writers want them."""
    values = vars(record)
    nested = _nested(type(record))
    if not nested:
        return values
    datum = values.copy()
    for name in nested:
        datum[name] = _to_plain(values[name])
    return datum


def from_datum(record: type[R], datum: Mapping[str, Any]) -> R:
    """Return the typed record of plain dicts and lists.

    Raises:
        TypeError: the datum lacks a field or has one too many.
    """
    return record(**_converted(record, dict(datum), from_datum))


def _made(record: type[R], datum: dict[str, Any]) -> R:
    """Return the typed record of a datum that is known to be whole, for its schema's reader filled it."""
    return record.unchecked(**_converted(record, datum, _made))


def _converted(record: type[Record], values: dict[str, Any], make: Callable[..., Any]) -> dict[str, Any]:
    for name, convert in _converters(record, make).items():
        if values.get(name) is not None:
            values[name] = convert(values[name])
    return values


def _writer_of(record: type[Record], data: bytes, schema_of_id: SchemaOfId | None) -> tuple[dict[str, Any], int]:
    """Return the schema that bytes were written with, and where their body begins."""
    if data[:2] == SINGLE_OBJECT:
        schema = _landed(record).get(data[:10])
        if schema is None:
            raise RecordRejected(
                DeadLetterReason.BAD_SCHEMA, f"no {record.__name__} schema has the fingerprint {data[2:10].hex()}"
            )
        return schema.parsed, 10
    schema_id = confluent_id(data)
    if schema_id is not None:
        if schema_of_id is None:
            raise RecordRejected(
                DeadLetterReason.BAD_SCHEMA, "Confluent framing, but no schema registry is configured (registry_url)"
            )
        return _parse(schema_of_id(schema_id)).parsed, 5
    raise RecordRejected(DeadLetterReason.BAD_ENCODING, f"no known framing starts with {data[:2].hex()!r}")


@_once
def _landed(record: type[Record]) -> dict[bytes, WriterSchema]:
    """Every landed version of a record's schema, by the header its bytes start with."""
    current = writer_schema(record)
    found = {current.header: current}
    for version in resources.files("schemas").joinpath("avsc", "landed").iterdir():
        file = version.joinpath(f"{record.__name__}.avsc")
        if file.is_file():
            schema = _parse(file.read_text())
            found.setdefault(schema.header, schema)
    return found


@cache
def _parse(source: str) -> WriterSchema:
    schema = json.loads(source)
    # fastavro returns the fingerprint's bytes in the order of the header.
    crc = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    return WriterSchema(cast("dict[str, Any]", fastavro.parse_schema(schema)), source, SINGLE_OBJECT + crc)


def _to_plain(value: Any) -> Any:
    if isinstance(value, Record):
        return to_datum(value)
    if isinstance(value, list):
        return [to_datum(item) if isinstance(item, Record) else item for item in value]
    return value


@_once
def _nested(record: type[Record]) -> tuple[str, ...]:
    """Names of fields that hold records."""
    hints = typing.get_type_hints(record)
    return tuple(f.name for f in dataclasses.fields(cast("Any", record)) if _holds(hints[f.name], Record))


@_once
def _converters(record: type[Record], make: Callable[..., Any]) -> dict[str, Callable[[Any], Any]]:
    """For each field that is not plain in Avro's reading: what turns the datum into its type; `make` makes records."""
    hints = typing.get_type_hints(record)
    found: dict[str, Callable[[Any], Any]] = {}
    for field in dataclasses.fields(cast("Any", record)):
        kind = _without_none(hints[field.name])
        (item,) = typing.get_args(kind) if typing.get_origin(kind) is list else (kind,)
        if not isinstance(item, type):
            continue
        if issubclass(item, StrEnum):
            convert: Callable[[Any], Any] = {str(symbol): symbol for symbol in item}.__getitem__
        elif issubclass(item, Record):
            convert = partial(make, item)
        else:
            continue
        found[field.name] = _each(convert) if kind is not item else convert
    return found


def _each(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda items: [convert(item) for item in items]


def _without_none(hint: Any) -> Any:
    if isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union:
        (kind,) = (arg for arg in typing.get_args(hint) if arg is not NoneType)
        return kind
    return hint


def _holds(hint: Any, kind: type) -> bool:
    hint = _without_none(hint)
    args = typing.get_args(hint)
    return any(_holds(arg, kind) for arg in args) if args else isinstance(hint, type) and issubclass(hint, kind)
