"""Whether a traffic record is within its workload's limits, and which text in it is to be judged. Pure rules."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import TrafficRecord
from schemas.rules import chat
from schemas.sections.intake import Limits
from schemas.workload import Workload
from streams.curate.decode import depth, longest_string, parsed

_DAY_SECONDS: Final = 86_400
_NO_QUESTION: Final = frozenset({"messages"})  # reasons that leave nothing to judge; others only bar a student


def find_text(record: TrafficRecord, workload: Workload, template: str) -> chat.FoundText | chat.Ineligible:
    """Return the text to judge, or why no student could answer it.

    Args:
        record: as sent, within the limits of its exchange.
        workload: whose limits and prompt count.
        template: the fingerprint of the workload's prompt, that a bare text counts under.

    Raises:
        RecordRejected: there is none, or it is too long.
    """
    found = _found(record, workload, template)
    if isinstance(found, chat.FoundText):
        if len(found.text) > workload.limits.characters:
            raise RecordRejected(
                DeadLetterReason.TOO_LONG, f"{len(found.text)} characters; {workload.limits.characters} are allowed"
            )
        if not found.text.strip():
            raise RecordRejected(DeadLetterReason.NO_TEXT, "the text is empty")
    return found


def check_exchange(record: TrafficRecord, size: int, limits: Limits) -> None:
    """Check a record's size, and the nesting and strings of its request and response, against the limits.

    Args:
        record: as sent.
        size: bytes of the Kafka record's value.
        limits: the workload's.

    Raises:
        RecordRejected: a limit is passed.
    """
    if size > limits.record_bytes:
        raise RecordRejected(DeadLetterReason.TOO_LARGE, f"{size} bytes; {limits.record_bytes} are allowed")
    for field, text in (("request", record.request), ("response", record.response)):
        if text is not None:
            _check_depth(field, text, limits)
            _check_strings(field, text, limits)
    if record.answer is not None and len(record.answer) > limits.string_characters:
        raise _too_long("answer", len(record.answer), limits)


def check_time(event: datetime, arrival: datetime, limits: Limits) -> None:
    """Check the event time against the broker's clock at arrival, so that a replay decides alike.

    Raises:
        RecordRejected: too old, or in the future.
    """
    ahead = (event - arrival).total_seconds()
    if ahead > limits.future_seconds:
        raise RecordRejected(DeadLetterReason.IN_FUTURE, f"event_time is more than {limits.future_seconds} s ahead")
    if -ahead > limits.age_days * _DAY_SECONDS:
        raise RecordRejected(DeadLetterReason.TOO_OLD, f"event_time is more than {limits.age_days} days back")


def _found(record: TrafficRecord, workload: Workload, template: str) -> chat.FoundText | chat.Ineligible:
    if record.text is not None:
        return chat.FoundText(record.text, template)
    if record.request is None:
        raise RecordRejected(DeadLetterReason.NO_TEXT, "neither text nor request")
    found = chat.find_text(workload, parsed("request", record.request))
    if isinstance(found, chat.Ineligible) and found.reason in _NO_QUESTION:
        raise RecordRejected(DeadLetterReason.NO_TEXT, "the request has no messages")
    return found


def _check_depth(field: str, text: str, limits: Limits) -> None:
    if text.count("{") + text.count("[") <= limits.depth:
        return  # cannot be deeper than it has brackets
    if depth(parsed(field, text)) > limits.depth:
        raise RecordRejected(DeadLetterReason.TOO_DEEP, f"{field} is nested deeper than {limits.depth}")


def _check_strings(field: str, text: str, limits: Limits) -> None:
    if len(text) <= limits.string_characters:
        return  # no string in it can be longer than the whole
    longest = longest_string(parsed(field, text))
    if longest > limits.string_characters:
        raise _too_long(field, longest, limits)


def _too_long(field: str, characters: int, limits: Limits) -> RecordRejected:
    allowed = limits.string_characters
    return RecordRejected(
        DeadLetterReason.TOO_LONG, f"{field} holds a string of {characters} characters; {allowed} are allowed"
    )
