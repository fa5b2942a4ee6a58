"""What the curate stage keeps of fields and payloads, without their personal data.

A payload is redacted over its decoded text where it decodes, each value as it reads behind its name; bytes that do not
decode are redacted more widely. The record itself is in `traffic` while that is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, Final

import orjson

from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.codec import encode, is_framed
from schemas.errors import RecordRejected, Unavailable
from schemas.ids import key_hash
from schemas.records import TrafficRecord
from schemas.rules.normalise import normalise
from schemas.rules.privacy.redact import DEFAULT, Policy, redact
from streams.core.dead_letter import KEPT_BYTES, redacted_bytes

_SHORT: Final = 200  # characters; longer fields are not remembered, so that nobody can fill the memory with them
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f-]{32,71}")


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


def _beside(name: str, value: str, policy: Policy = DEFAULT) -> str:
    """Redact a value as it reads behind its name: "account_number" and "password" say what is beside them."""
    alone = redact(value, policy)
    if alone.counts:
        return alone.text
    prefix = normalise(name) + ": "
    together = redact(prefix + value, policy)
    if not together.counts or not together.text.startswith(prefix):
        return value
    return together.text.removeprefix(prefix)


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
