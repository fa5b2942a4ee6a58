"""The typed records and the Avro schemas say the same."""

import dataclasses
import json
import types
import typing
from datetime import datetime
from enum import StrEnum
from importlib import resources
from typing import Any

import pytest

from schemas import events, promotion, records
from schemas.topics import CATALOGUE, STAGES
from tests.schemas.land import breaks, landed
from tests.schemas.resolution import problems

ROOTS = [topic.record for topic in CATALOGUE]
AVSC = resources.files("schemas").joinpath("avsc")
PRIMITIVES = {"string": str, "boolean": bool, "int": int, "long": int, "float": float, "double": float, "bytes": bytes}


def schema_of(record: type[records.Record]) -> Any:
    return json.loads(AVSC.joinpath(f"{record.__name__}.avsc").read_text())


def named_types(schema: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Collect every record and enum that a schema defines."""
    if isinstance(schema, list):
        for branch in schema:
            named_types(branch, found)
    elif isinstance(schema, dict):
        if schema.get("type") in ("record", "enum"):
            found[schema["name"]] = schema
        for part in [schema.get("type"), schema.get("items"), schema.get("values")]:
            named_types(part, found)
        for field in schema.get("fields", []):
            named_types(field["type"], found)
    return found


def class_of(name: str) -> Any:
    return next(getattr(module, name) for module in (records, events, promotion) if hasattr(module, name))


def python_type(avro: Any) -> Any:  # noqa: PLR0911 - one return per kind of type
    """Return the annotation that an Avro type must have."""
    if isinstance(avro, list):
        (kind,) = (branch for branch in avro if branch != "null")
        return python_type(kind) | None
    if isinstance(avro, str):
        return PRIMITIVES.get(avro) or class_of(avro)
    if avro.get("logicalType") == "timestamp-micros":
        return datetime
    match avro["type"]:
        case "array":
            return types.GenericAlias(list, (python_type(avro["items"]),))
        case "map":
            return types.GenericAlias(dict, (str, python_type(avro["values"])))
        case "record" | "enum":
            return class_of(avro["name"])
    return python_type(avro["type"])


def default_of(field: Any) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


ALL_TYPES = {name: schema for root in ROOTS for name, schema in named_types(schema_of(root), {}).items()}


@pytest.mark.parametrize("name", sorted(n for n, s in ALL_TYPES.items() if s["type"] == "record"))
def test_record__equals_its_schema(name):
    """A record class has exactly its schema's fields, with the same types and defaults."""
    schema, record = ALL_TYPES[name], class_of(name)
    hints = typing.get_type_hints(record)
    fields = {field.name: field for field in dataclasses.fields(record)}

    assert {field["name"] for field in schema["fields"]} == set(fields)
    for field in schema["fields"]:
        assert python_type(field["type"]) == hints[field["name"]], field["name"]
        default = default_of(fields[field["name"]])
        assert ("default" in field) == (default is not dataclasses.MISSING), field["name"]
        if "default" in field:
            assert field["default"] == (str(default) if isinstance(default, StrEnum) else default), field["name"]


@pytest.mark.parametrize("name", sorted(n for n, s in ALL_TYPES.items() if s["type"] == "enum"))
def test_enum__equals_its_schema(name):
    """An enum has its schema's symbols, and a default symbol for a reader that is older than a symbol."""
    schema = ALL_TYPES[name]

    assert schema["symbols"] == [str(symbol) for symbol in class_of(name)]
    assert schema["default"] in schema["symbols"]


@pytest.mark.parametrize("record", ROOTS)
def test_optional_fields__have_a_default(record):
    """Every field that may be null, and every collection that may be left out, can be missing in a writer's schema."""
    for schema in named_types(schema_of(record), {}).values():
        for field in schema.get("fields", []):
            if isinstance(field["type"], list):
                assert field["type"][0] == "null"
                assert field["default"] is None


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
def test_current_schema__is_compatible_with_every_landed_version(topic):
    """What was written under any landed version can be read, and for FULL topics old readers can read what we write."""
    name, current = topic.record.__name__, schema_of(topic.record)
    versions = landed(name).values()

    assert current in versions, f"land it: python -m tests.schemas.land {name}"
    assert [breaks(topic, current, old) for old in versions] == [[]] * len(versions)


FIELD = {"name": "a", "type": "int"}


@pytest.mark.parametrize(
    ("reader", "writer", "found"),
    [
        ([FIELD], [FIELD], []),
        ([FIELD, {"name": "b", "type": "int"}], [FIELD], ["record.b: is new and has no default"]),
        ([FIELD, {"name": "b", "type": ["null", "int"], "default": None}], [FIELD], []),
        ([FIELD], [{"name": "a", "type": "string"}], ["record.a: string cannot become int"]),
        ([{"name": "a", "type": "double"}], [FIELD], []),
        ([FIELD], [{"name": "a", "type": ["null", "int"]}], ["record.a: null cannot become int"]),
    ],
)
def test_resolution__follows_the_specification(reader, writer, found):
    """The check of two schemas, on cases whose answer the Avro specification gives."""
    record = {"type": "record", "name": "R"}

    assert problems(record | {"fields": reader}, record | {"fields": writer}) == found


def test_resolution__lost_enum_symbol():
    """A symbol that a reader does not know is read as its default, and is a problem where it has none."""
    old = {"type": "enum", "name": "E", "symbols": ["A"]}
    new = {"type": "enum", "name": "E", "symbols": ["A", "B"]}

    def record(enum: Any) -> Any:
        return {"type": "record", "name": "R", "fields": [{"name": "a", "type": enum}]}

    assert problems(record(old), record(new)) == ["record.a: cannot read ['B']"]
    assert problems(record(old | {"default": "A"}), record(new)) == []


def test_stages__read_topics_that_someone_writes():
    """Every group reads topics of the catalogue, each topic once."""
    read = [topic for topics in STAGES.values() for topic in topics]

    assert set(read) <= set(CATALOGUE)
    assert len(read) == len(set(read))


def test_catalogue__configuration():
    """Every topic uses the broker's time; only model-state is compacted; promotions are kept for ever."""
    config = {topic.name: topic.config() for topic in CATALOGUE}

    assert {one["message.timestamp.type"] for one in config.values()} == {"LogAppendTime"}
    assert [name for name, one in config.items() if one["cleanup.policy"] == "compact"] == ["model-state"]
    assert config["model-promotion"]["retention.ms"] == "-1"
    assert int(config["curated"]["max.message.bytes"]) > int(config["traffic"]["max.message.bytes"])
