"""Dead letters of the curate stage: what is kept of a record that cannot be curated, without its personal data.

The payload is redacted over its decoded text where it decodes, each value as it reads behind its name; bytes that do
not decode are redacted more widely, since in them a neighbouring byte can hide where a number begins. Every kind goes,
whatever a source's policy keeps. The record itself stands in `traffic` while that is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from importlib import metadata
from typing import Any, Final

import orjson

from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.codec import encode, is_framed
from schemas.errors import RecordRejected, Unavailable
from schemas.records import DeadLetter, Header, Origin, TrafficRecord
from schemas.rules.normalise import normalise
from schemas.rules.privacy.redact import DEFAULT, EMAIL, PHONE, SECRET, Policy, redact
from schemas.topics import DEAD_LETTERS
from streams.core.stage import Message, Output
from streams.curate.decode import API_KEY_HEADER, key_hash

KEPT_BYTES: Final = 64 * 1024  # of a payload
_DETAIL_CHARACTERS: Final = 500
_SHORT: Final = 200  # characters; longer fields are not remembered, so that nobody can fill the memory with them
_CODE_VERSION: Final = metadata.version("millrace")
_LONG_NUMBER = re.compile(r"\d(?:[ ().\-/]{0,2}\d){6,}|\d{1,3}(?:\.\d{1,3}){3}")
_ADDRESS = re.compile(r"[\w.%+'-]{1,64}@[\w.-]{1,255}")
_KEY = re.compile(
    r"(?:sk-|gh[opsur]_|hub_pat_|glpat-|xox[a-z]-|AKIA|ASIA|AIza|ya29|eyJ|k_live_|k_test_|hf_|nvapi-|npm_|pypi-|SG\.)"
    r"[A-Za-z0-9_.\-]{12,}"
)
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
            Header(name=redact(name_).text[:255], value=None if content is None else _header(name_, content)[:1024])
            for name_, content in message.headers[:32]
        ],
        truncated=len(value) > KEPT_BYTES or len(payload) > KEPT_BYTES,
    )
    return Output(DEAD_LETTERS, message.partition, name or "", letter)


def origin_of(message: Message) -> Origin:
    """Return the place the message stood in, by the catalogue's name of its topic."""
    return Origin.unchecked(topic=message.topic.name, partition=message.partition, offset=message.offset)


def cleaned(value: str | None, policy: Policy = DEFAULT) -> str | None:
    """Return a field without personal data; digests of ours cannot hold any and stay as they are."""
    if not value or _DIGEST.fullmatch(value):
        return value
    return redact(value, policy).text if len(value) > _SHORT else _cleaned_short(value, policy)


@lru_cache(maxsize=10_000)  # clients, models and sources come again and again
def _cleaned_short(value: str, policy: Policy) -> str:
    return redact(value, policy).text


def cleaned_attributes(attributes: Mapping[str, str], policy: Policy = DEFAULT) -> dict[str, str]:
    """Return attributes without personal data, neither in their names nor in their values."""
    return {redact(name, policy).text: _beside(name, value, policy) for name, value in attributes.items()}


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
    return _LONG_NUMBER.sub(PHONE, _KEY.sub(SECRET, _ADDRESS.sub(EMAIL, text))).encode()


def _header(name: str, content: bytes) -> bytes:
    """Redact a header's value behind its name; where the hash of an API key belongs, the key itself may stand."""
    if name.lower() == API_KEY_HEADER:
        return key_hash(content.decode(errors="replace")).encode()
    told = f"{name}: ".encode()
    redacted = redacted_bytes(told + content)
    return redacted.removeprefix(told) if redacted.startswith(told) else redacted_bytes(content)


def _beside(name: str, value: str, policy: Policy = DEFAULT) -> str:
    """Redact a value as it reads behind its name: "account_number" and "password" tell what stands beside them."""
    alone = redact(value, policy)
    if alone.counts:
        return alone.text
    told = normalise(name) + ": "
    together = redact(told + value, policy)
    return together.text.removeprefix(told) if together.counts and together.text.startswith(told) else value


def _redacted_record(record: TrafficRecord) -> bytes:
    changed: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in ("request", "response") and value is not None:
            changed[field.name] = _redacted_json_text(value)
        elif field.name == "api_key_hash" and value is not None:
            changed[field.name] = key_hash(value)
        elif isinstance(value, str) and field.name != "answered_by":
            changed[field.name] = cleaned(value)
        elif isinstance(value, dict):
            changed[field.name] = {
                redact(key).text: _beside(key, _redacted_json_text(item)) for key, item in value.items()
            }
    return encode(replace(record, **changed))


def _redacted_json_text(text: str) -> str:
    try:
        return orjson.dumps(_redacted_json(orjson.loads(text))).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return redact(text).text


def _redacted_json(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        return _beside(name, value)
    if isinstance(value, dict):
        return {redact(str(key)).text: _redacted_json(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted_json(item, name) for item in value]
    if isinstance(value, int) and (text := _beside(name, str(value))) != str(value):
        return text
    return value
