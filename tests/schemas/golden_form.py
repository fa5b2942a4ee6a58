"""The JSON form of a record in golden files, and back."""

import dataclasses
import typing
from datetime import datetime
from typing import Any

from schemas.codec import from_datum, to_datum
from schemas.records import Record


def to_json(record: Record) -> Any:
    return _plain(to_datum(record))


def from_json(kind: type[Record], value: Any) -> Record:
    return from_datum(kind, _typed(kind, value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
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
