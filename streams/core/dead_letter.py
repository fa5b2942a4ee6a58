"""The one maker of dead letters: what is kept of a message that cannot be processed, without personal data.

A stage hands over the payload without personal data, for it knows how to redact it; key, headers and what a detail
quotes are redacted here. Every kind goes, whatever a workload's policy keeps. Our own words and numbers pass: a size of
ten digits is no phone number. The message itself is in its topic while that is kept.
"""

from __future__ import annotations

import re
from hashlib import sha256
from importlib import metadata
from typing import Final

from deploy.edge.topics.framing import Framing
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.ids import API_KEY_HEADER, key_hash
from schemas.records import DeadLetter, Header, Origin, Record
from schemas.rules.places import passages
from schemas.rules.privacy.redact import EMAIL, PHONE, SECRET, redact
from schemas.topics import DEAD_LETTERS
from streams.core.stage import Message, Output

KEPT_BYTES: Final = 64 * 1024  # of a payload
_DETAIL_CHARACTERS: Final = 500
_HEADERS: Final = 32
_NAME_CHARACTERS: Final = 255  # of a header, of a workload
_VALUE_BYTES: Final = 1_024  # of a header, of a key
_CODE_VERSION: Final = metadata.version("millrace")
_LONG_NUMBER = re.compile(r"\d(?:[ ().\-/]{0,2}\d){6,}|\d{1,3}(?:\.\d{1,3}){3}")
_ADDRESS = re.compile(r"[\w.%+'-]{1,64}@[\w.-]{1,255}")
_SECRET = re.compile(
    r"(?:sk-|gh[opsur]_|hub_pat_|glpat-|xox[a-z]-|AKIA|ASIA|AIza|ya29|eyJ|k_live_|k_test_|hf_|nvapi-|npm_|pypi-|SG\.)"
    r"[A-Za-z0-9_.\-]{12,}"
)


def dead_letter(
    message: Message,
    stage: str,
    rejected: RecordRejected,
    payload: bytes,
    *,
    workload: str | None,
    record_id: str | None,
    attempts: int = 1,
) -> Output:
    """Return the dead letter of a message.

    Args:
        message: as consumed.
        stage: the name of the one that gives up on it.
        rejected: why.
        payload: the message's value without personal data; what is beyond `KEPT_BYTES` is dropped.
        workload: whose record it is, where that is known.
        record_id: the id the record has or would have had, where that is known.
        attempts: how often it was tried.
    """
    value = message.value or b""
    name = None if workload is None else redact(workload).text[:_NAME_CHARACTERS]
    letter = DeadLetter(
        reason=rejected.reason,
        detail=_detail(rejected)[:_DETAIL_CHARACTERS],
        stage=stage,
        origin=origin_of(message),
        time=message.appended,
        payload=payload[:KEPT_BYTES],
        payload_bytes=len(value),
        payload_sha256=sha256(value).hexdigest(),
        workload=name,
        record_id=record_id,
        attempts=attempts,
        code_version=_CODE_VERSION,
        key=_key(message.key, name),
        headers=[_header(*header) for header in message.headers[:_HEADERS]],
        truncated=len(value) > KEPT_BYTES or len(payload) > KEPT_BYTES,
    )
    return Output(DEAD_LETTERS, message.partition, name or "", letter)


def dead_letter_of_ours(
    message: Message, stage: str, rejected: RecordRejected, framing: Framing, attempts: int = 1
) -> Output:
    """Return the dead letter of a message of our own topics, whose records were redacted before they were written.

    What cannot be read is no record of ours, whoever wrote it: its bytes are redacted.
    """
    value = message.value or b""
    record = _read(message, framing)
    key = None if message.key is None else message.key.decode(errors="replace")
    return dead_letter(
        message, stage, rejected, redacted_bytes(value[: 2 * KEPT_BYTES]) if record is None else value,
        workload=getattr(record, "workload", None) or key or None, record_id=getattr(record, "record_id", None),
        attempts=attempts,
    )  # fmt: skip


def failed(error: Exception) -> RecordRejected:
    """Return the rejection of a record that our own code fails on; the error's text may quote the record."""
    return RecordRejected(DeadLetterReason.PROCESSING_FAILED, type(error).__name__, str(error))


def origin_of(message: Message) -> Origin:
    """Return the place the message stood in, by the catalogue's name of its topic."""
    return Origin.unchecked(topic=message.topic.name, partition=message.partition, offset=message.offset)


def redacted_bytes(value: bytes) -> bytes:
    """Return bytes of unknown form without anything that could be an address or a long number.

    More goes than of a text, for a neighbouring byte can hide where a number begins.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    text = redact(text.replace("\0", "")).text  # UTF-16 and UTF-32 put zeros between the digits of a number
    return _LONG_NUMBER.sub(PHONE, _SECRET.sub(SECRET, _ADDRESS.sub(EMAIL, text))).encode()


def _widely(text: str) -> str:
    return redacted_bytes(text[:KEPT_BYTES].encode(errors="replace")).decode()


def _detail(rejected: RecordRejected) -> str:
    if not rejected.quoted:
        return rejected.detail
    return f"{rejected.detail}: {_widely(rejected.quoted)}"


def _key(key: bytes | None, workload: str | None) -> bytes | None:
    if key is None or key == (workload or "").encode():
        return key
    return redacted_bytes(key)[:_VALUE_BYTES]


def _header(name: str, content: bytes | None) -> Header:
    value = None if content is None else _header_value(name, content)[:_VALUE_BYTES]
    return Header(name=_widely(name)[:_NAME_CHARACTERS], value=value)


def _header_value(name: str, content: bytes) -> bytes:
    """Redact a value behind its name. A place is our own number; where a key's hash belongs, the key may be written."""
    if passages([(name, content)]):
        return content
    if name.lower() == API_KEY_HEADER:
        return key_hash(content.decode(errors="replace")).encode()
    before = f"{name}: ".encode()
    redacted = redacted_bytes(before + content)
    return redacted.removeprefix(before) if redacted.startswith(before) else redacted_bytes(content)


def _read(message: Message, framing: Framing) -> Record | None:
    try:
        return framing.decode(message.topic.record, message.value or b"")
    except Exception:  # noqa: BLE001 - what the stage failed on may fail here too; its dead letter must be written
        return None
