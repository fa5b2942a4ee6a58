"""Dead letters of the curate stage: what is kept of a record that cannot be curated, without its personal data.

The payload is redacted over its decoded text where it decodes; bytes that do not decode are redacted more widely,
since in them a neighbouring byte can hide where a number begins. The record itself stands in `traffic` while that is
kept.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from typing import Any, Final

import orjson

from deploy.edge.framing import SINGLE_OBJECTS, Framing
from schemas.codec import encode, is_framed
from schemas.errors import RecordRejected, Unavailable
from schemas.records import DeadLetter, Header, Origin, TrafficRecord
from schemas.rules.redact import EMAIL, PHONE, redact
from schemas.topics import DEAD_LETTERS
from streams.stage import Message, Output

KEPT_BYTES: Final = 64 * 1024  # of a payload
_DETAIL_CHARACTERS: Final = 500
_CODE_VERSION: Final = metadata.version("millrace")
_LONG_NUMBER = re.compile(r"\d(?:[ ().\-/]{0,2}\d){6,}")
_ADDRESS = re.compile(r"[\w.%+'-]{1,64}@[\w.-]{1,255}")
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f-]{32,71}")


def dead_letter(
    message: Message,
    reason: str,
    detail: str,
    workload: str | None,
    attempts: int,
    framing: Framing = SINGLE_OBJECTS,
    record_id: str | None = None,
) -> Output:
    """Return the dead letter of a message; workload and record id where they could be read so far."""
    value = message.value or b""
    payload = redacted_payload(value, framing)
    name = None if workload is None else redact(workload).text[:255]
    letter = DeadLetter(
        reason=reason,
        detail=redacted_bytes(detail.encode(errors="replace")).decode(errors="replace")[:_DETAIL_CHARACTERS],
        stage="curate",
        origin=origin_of(message),
        time=datetime.now(UTC),
        payload=payload[:KEPT_BYTES],
        payload_bytes=len(value),
        payload_sha256=sha256(value).hexdigest(),
        workload=name,
        record_id=record_id,
        attempts=attempts,
        code_version=_CODE_VERSION,
        key=None if message.key is None else redacted_bytes(message.key)[:1024],
        headers=[
            Header(name=redact(name_).text[:255], value=None if content is None else redacted_bytes(content)[:1024])
            for name_, content in message.headers[:32]
        ],
        truncated=len(value) > KEPT_BYTES or len(payload) > KEPT_BYTES,
    )
    return Output(DEAD_LETTERS, message.partition, name or "", letter)


def origin_of(message: Message) -> Origin:
    """Return the place the message stood in, by the catalogue's name of its topic."""
    return Origin(topic=message.topic.name, partition=message.partition, offset=message.offset)


def cleaned(value: str | None) -> str | None:
    """Return a field without personal data; digests of ours cannot hold any and stay as they are."""
    if not value or _DIGEST.fullmatch(value):
        return value
    return redact(value).text


def redacted_payload(value: bytes, framing: Framing = SINGLE_OBJECTS) -> bytes:
    """Return a payload without personal data, in its own form where it decodes."""
    value = value[: 16 * KEPT_BYTES]  # what lies behind is never kept; all of a record that is not too large is before
    if is_framed(value):
        try:
            return _redacted_record(framing.decode(TrafficRecord, value))
        except (RecordRejected, Unavailable):
            return redacted_bytes(value[: 2 * KEPT_BYTES])
    try:
        return orjson.dumps(_redacted_json(orjson.loads(value)), option=orjson.OPT_NON_STR_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return redacted_bytes(value[: 2 * KEPT_BYTES])


def redacted_bytes(value: bytes) -> bytes:
    """Return bytes of unknown form without anything that could be an address or a long number."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    text = redact(text).text
    return _LONG_NUMBER.sub(PHONE, _ADDRESS.sub(EMAIL, text)).encode()


def _redacted_record(record: TrafficRecord) -> bytes:
    changed: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in ("request", "response") and value is not None:
            changed[field.name] = _redacted_json_text(value)
        elif isinstance(value, str) and field.name != "answered_by":
            changed[field.name] = cleaned(value)
        elif isinstance(value, dict):
            changed[field.name] = {redact(key).text: _redacted_json_text(item) for key, item in value.items()}
    return encode(replace(record, **changed))


def _redacted_json_text(text: str) -> str:
    try:
        return orjson.dumps(_redacted_json(orjson.loads(text))).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return redact(text).text


def _redacted_json(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value).text
    if isinstance(value, dict):
        return {redact(str(key)).text: _redacted_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted_json(item) for item in value]
    if isinstance(value, int) and redact(str(value)).counts:
        return redact(str(value)).text
    return value
