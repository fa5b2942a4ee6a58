"""Golden records: by version, their bytes and their JSON form, and the way between that and a record."""

import dataclasses
import json
import typing
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.codec import from_datum, to_datum
from schemas.records import Record

GOLDEN = Path(__file__).parent / "golden"


def versions(record: type[Record]) -> list[str]:
    """Return the versions under which a record has golden bytes, oldest first."""
    found = [folder.name for folder in GOLDEN.iterdir() if (folder / f"{record.__name__}.hex").is_file()]
    return sorted(found, key=lambda version: int(version[1:]))


def golden_pair(record: type[Record], version: str) -> tuple[bytes, Any]:
    """Return the bytes and the JSON form of a version."""
    folder = GOLDEN / version
    data = bytes.fromhex((folder / f"{record.__name__}.hex").read_text())
    return data, json.loads((folder / f"{record.__name__}.json").read_text())


def golden(record: type[Record]) -> Any:
    """Return the full record of the newest version."""
    return from_json(record, golden_pair(record, versions(record)[-1])[1])


def to_json(record: Record) -> Any:
    return plain(to_datum(record))


def from_json(kind: type[Record], value: Any) -> Record:
    return from_datum(kind, _typed(kind, value))


def plain(value: Any) -> Any:
    """Return a datum as JSON can hold it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def _typed(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one return per kind of type
    if value is None:
        return None
    args = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    if typing.get_origin(hint) is list:
        return [_typed(args[0], item) for item in value]
    if typing.get_origin(hint) is dict:
        return {key: _typed(args[1], item) for key, item in value.items()}
    if args:
        return _typed(args[0], value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if hint is bytes:
        return bytes.fromhex(value)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return {name: _typed(hints[name], item) for name, item in value.items()}
    return value
