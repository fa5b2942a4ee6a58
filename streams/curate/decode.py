"""What `traffic` accepts, to one record type: our Avro, NVIDIA's five-field JSON, a bare OpenAI exchange as JSON.

Fields this version does not know are kept as JSON text in `attributes`. Anything else is rejected with a reason.

What the JSON forms have no field for may come in headers of the Kafka record: `workload` (a bare exchange needs it),
`client` (where there is no `client_id`), `client-version`, `source` and `api-key-hash`. A key itself is never kept:
whatever does not look like a digest is hashed here, as the router does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.codec import is_framed
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.ids import API_KEY_HEADER, key_hash
from schemas.records import TrafficRecord
from schemas.rules import chat
from schemas.topics import RECORD_BYTES
from streams.core.stage import Message

WORKLOAD_HEADER: Final = "workload"
_FIELD_HEADERS: Final = {
    "client": "client",
    "client-version": "client_version",
    "source": "source",
    API_KEY_HEADER: "api_key_hash",
}
_NVIDIA_FIELDS: Final = frozenset({"timestamp", "workload_id", "client_id", "request", "response"})
_MILLISECONDS_FROM: Final = 1e11  # as seconds that is the year 5138
_DEEPEST: Final = 200  # beyond it nothing is walked; the workload's own limit is far below


def decode_traffic(message: Message, framing: Framing = SINGLE_OBJECTS) -> TrafficRecord:
    """Return the record a message holds, with answer and model taken out of its response.

    Raises:
        RecordRejected: none of the accepted forms, or a field of the wrong type.
    """
    value = message.value
    if not value:
        raise RecordRejected(DeadLetterReason.BAD_ENCODING, "the record has no value")
    if len(value) > RECORD_BYTES:
        raise RecordRejected(DeadLetterReason.TOO_LARGE, f"{len(value)} bytes; {RECORD_BYTES} are allowed")
    record = framing.decode(TrafficRecord, value) if is_framed(value) else _from_json(value, message)
    if record.api_key_hash:
        record = replace(record, api_key_hash=key_hash(record.api_key_hash))
    return _with_answer(record)


def parsed(field: str, text: str) -> dict[str, Any]:
    """Return a JSON object held as text.

    Raises:
        RecordRejected: it is none.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RecordRejected(DeadLetterReason.BAD_FIELD, f"{field} is no JSON", error.msg) from error
    if not isinstance(found, dict):
        raise RecordRejected(DeadLetterReason.BAD_FIELD, f"{field} must be a JSON object")
    return found


def depth(value: Any) -> int:
    """Return how deep dicts and lists are nested; walking stops at a depth no limit allows."""
    level, layer = 0, [value]
    while layer and level <= _DEEPEST:
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        if not any(isinstance(item, dict | list) for item in layer):
            return level
        level, layer = level + 1, inner
    return level


def longest_string(value: Any) -> int:
    """Return the length of the longest string, a key or a value, anywhere in a JSON value."""
    longest, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            longest = max(longest, len(item))
        elif isinstance(item, dict):
            rest += [*item, *item.values()]
        elif isinstance(item, list):
            rest += item
    return longest


def _from_json(value: bytes, message: Message) -> TrafficRecord:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        code = DeadLetterReason.TOO_DEEP if "ecursion" in error.msg else DeadLetterReason.BAD_ENCODING
        raise RecordRejected(code, "neither Avro nor JSON", error.msg) from error
    if not isinstance(found, dict):
        raise RecordRejected(DeadLetterReason.BAD_FIELD, "JSON traffic must be an object")
    headers = _fields_of_headers(message)
    if "workload_id" in found:
        return _from_nvidia(found, headers)
    return _from_openai(found, message, headers)


def _fields_of_headers(message: Message) -> dict[str, Any]:
    """Return the fields that headers name; of repeated headers the first counts, empty ones are ignored."""
    fields: dict[str, Any] = {}
    for name, value in message.headers:
        field = _FIELD_HEADERS.get(name.lower())
        if field and value:
            fields.setdefault(field, _text(name, value))
    return fields


def _from_nvidia(found: Mapping[str, Any], headers: dict[str, Any]) -> TrafficRecord:
    request, response = found.get("request"), found.get("response")
    return TrafficRecord(
        id=_own_id(response),
        workload=_string(found, "workload_id"),
        event_time=_time("timestamp", found.get("timestamp")),
        request=_object("request", request),
        response=_object("response", response),
        attributes=_rest(found, _NVIDIA_FIELDS),
        **headers | ({} if found.get("client_id") is None else {"client": _string(found, "client_id")}),
    )


def _from_openai(found: Mapping[str, Any], message: Message, headers: dict[str, Any]) -> TrafficRecord:
    """Read `{"request": …, "response": …}` or a request body alone; the workload is in a header."""
    workload = next((value for name, value in message.headers if name.lower() == WORKLOAD_HEADER and value), None)
    if workload is None:
        raise RecordRejected(
            DeadLetterReason.BAD_FIELD, "JSON without workload_id needs a `workload` header on the Kafka record"
        )
    exchange = {"request": found} if "messages" in found else found
    request, response = exchange.get("request"), exchange.get("response")
    created = response.get("created") if isinstance(response, dict) else None
    return TrafficRecord(
        id=_own_id(response),
        workload=_text(WORKLOAD_HEADER, workload),
        event_time=message.appended if created is None else _time("response.created", created),
        request=_object("request", request),
        response=_object("response", response),
        attributes=_rest(exchange, frozenset({"request", "response"})),
        **headers,
    )


def _own_id(response: Any) -> str | None:
    """Return the completion's id: the only identifier that a JSON exchange carries."""
    own = response.get("id") if isinstance(response, dict) else None
    return own if isinstance(own, str) and own else None


def _with_answer(record: TrafficRecord) -> TrafficRecord:
    if record.response is None:
        return record
    response = parsed("response", record.response)
    answer, model = record.answer, record.model
    if answer is None:
        answer = chat.answer_in(response)
    if model is None and isinstance(response.get("model"), str):
        model = response["model"]
    return replace(record, answer=answer, model=model)


def _string(found: Mapping[str, Any], field: str) -> str:
    value = found.get(field)
    if not isinstance(value, str) or not value:
        raise RecordRejected(DeadLetterReason.BAD_FIELD, f"{field} must be a non-empty string, is {_kind(value)}")
    return value


def _object(field: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):  # some loggers keep the exchange as JSON text
        value = parsed(field, value)
    if not isinstance(value, dict):
        raise RecordRejected(DeadLetterReason.BAD_FIELD, f"{field} must be an object, is {_kind(value)}")
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError) as error:  # it reads deeper than it writes
        raise RecordRejected(DeadLetterReason.TOO_DEEP, f"{field} is nested too deep", str(error)) from error


def _time(field: str, value: Any) -> datetime:
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise RecordRejected(DeadLetterReason.BAD_FIELD, f"{field} is no time", str(error)) from error
    raise RecordRejected(DeadLetterReason.BAD_FIELD, f"{field} must be seconds or an ISO 8601 time, is {_kind(value)}")


def _text(field: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RecordRejected(DeadLetterReason.BAD_FIELD, f"{field} is not UTF-8") from error


def _rest(found: Mapping[str, Any], known: frozenset[str]) -> dict[str, str]:
    return {name: orjson.dumps(value).decode() for name, value in found.items() if name not in known}


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__
