"""Avro's rules of schema resolution, as a check of two schemas: what a reader could not read of a writer's records."""

from typing import Any

_PROMOTIONS: dict[str, set[str]] = {
    "int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"},
    "string": {"bytes"}, "bytes": {"string"},
}  # fmt: skip


def problems(reader: Any, writer: Any) -> list[str]:
    """Return why a reader with one schema cannot read records written with the other; empty if it can."""
    return _check(reader, writer, _named(reader, {}), _named(writer, {}), "record")


def _named(schema: Any, found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema, list):
        for branch in schema:
            _named(branch, found)
    elif isinstance(schema, dict):
        if "name" in schema:
            found[schema["name"]] = schema
        for part in (schema.get("type"), schema.get("items"), schema.get("values")):
            if isinstance(part, (dict, list)):
                _named(part, found)
        for field in schema.get("fields", []):
            _named(field["type"], found)
    return found


def _check(reader: Any, writer: Any, readers: dict[str, Any], writers: dict[str, Any], at: str) -> list[str]:  # noqa: PLR0911 - one return per kind of the specification
    if isinstance(writer, list):
        return [problem for branch in writer for problem in _check(reader, branch, readers, writers, at)]
    if isinstance(reader, list):
        tried = [_check(branch, writer, readers, writers, at) for branch in reader]
        return [] if any(not one for one in tried) else [f"{at}: no branch of the union reads {writer}"]
    reader, writer = _full(reader, readers), _full(writer, writers)
    kind, written = reader["type"], writer["type"]
    if kind != written:
        return [] if kind in _PROMOTIONS.get(written, ()) else [f"{at}: {written} cannot become {kind}"]
    if reader.get("logicalType") != writer.get("logicalType"):
        return [f"{at}: another logical type"]
    if kind == "array":
        return _check(reader["items"], writer["items"], readers, writers, f"{at}[]")
    if kind == "map":
        return _check(reader["values"], writer["values"], readers, writers, f"{at}{{}}")
    if kind == "enum":
        lost = set(writer["symbols"]) - set(reader["symbols"])
        return [f"{at}: cannot read {sorted(lost)}"] if lost and "default" not in reader else []
    return _fields(reader, writer, readers, writers, at) if kind == "record" else []


def _fields(reader: Any, writer: Any, readers: dict[str, Any], writers: dict[str, Any], at: str) -> list[str]:
    if reader["name"] != writer["name"]:
        return [f"{at}: {writer['name']} is not {reader['name']}"]
    written = {field["name"]: field for field in writer["fields"]}
    found = []
    for field in reader["fields"]:
        place = f"{at}.{field['name']}"
        if field["name"] in written:
            found += _check(field["type"], written[field["name"]]["type"], readers, writers, place)
        elif "default" not in field:
            found.append(f"{place}: is new and has no default")
    return found


def _full(schema: Any, named: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema, str):
        return dict(named.get(schema, {"type": schema}))
    if isinstance(schema["type"], (dict, list)) or schema["type"] in named:
        return _full(schema["type"], named)
    return dict(schema)
