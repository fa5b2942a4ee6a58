"""One headline as bytes on `traffic`, in the three forms that it accepts: our Avro, five-field JSON, bare OpenAI JSON.

Only answered records take the JSON forms: their time stands in them. Nothing here decides which form or answer it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schemas.codec import encode
from schemas.manifest import canonical
from schemas.records import AnsweredBy, TrafficRecord
from schemas.rules.chat import answer_for, messages_for
from schemas.workload import Workload

PRACTICE_TEACHER: Final = "practice-teacher"

RecordHeaders = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class RecordContent:
    """What a record says, before it has a form."""

    id: str
    text: str
    event_time: datetime
    client: str
    source: str
    answer: str | None  # the label that the teacher answered


@dataclass(frozen=True)
class Wire:
    """A record as it goes to the topic."""

    workload: str  # the key
    value: bytes
    headers: RecordHeaders = ()


def bare(told: RecordContent, workload: Workload) -> Wire:
    """Return our Avro record with the text alone."""
    return _avro(told, workload, text=told.text)


def chat(told: RecordContent, workload: Workload) -> Wire:
    """Return our Avro record with the chat request as JSON."""
    return _avro(told, workload, request=canonical(_request(told, workload)).decode())


def five_fields(told: RecordContent, workload: Workload) -> Wire:
    """Return NVIDIA's record: timestamp, workload_id, client_id, request, response."""
    value = {
        "timestamp": int(told.event_time.timestamp()),
        "workload_id": workload.name,
        "client_id": told.client,
        "request": _request(told, workload),
        "response": _response(told, workload),
    }
    return Wire(workload.name, canonical(value), (("id", told.id.encode()),))


def openai_pair(told: RecordContent, workload: Workload) -> Wire:
    """Return a bare request and response, with the workload in a header."""
    value = {"request": _request(told, workload), "response": _response(told, workload)}
    return Wire(workload.name, canonical(value), (("workload", workload.name.encode()), ("id", told.id.encode())))


def _avro(told: RecordContent, workload: Workload, *, text: str | None = None, request: str | None = None) -> Wire:
    answered = told.answer is not None
    record = TrafficRecord(
        workload=workload.name, event_time=told.event_time, id=told.id, client=told.client, source=told.source,
        text=text, request=request, answer=answer_for(workload, told.answer) if told.answer is not None else None,
        answered_by=AnsweredBy.TEACHER if answered else AnsweredBy.UNKNOWN,
        model=PRACTICE_TEACHER if answered else None,
    )  # fmt: skip
    return Wire(workload.name, encode(record))


def _request(told: RecordContent, workload: Workload) -> dict[str, Any]:
    return {"model": PRACTICE_TEACHER, "messages": messages_for(workload, told.text), "temperature": 0}


def _response(told: RecordContent, workload: Workload) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer_for(workload, told.answer or "")}
    words = len(told.text.split())
    return {
        "id": told.id,
        "object": "chat.completion",
        "created": int(told.event_time.timestamp()),
        "model": PRACTICE_TEACHER,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 2 * words, "completion_tokens": 3, "total_tokens": 2 * words + 3},
    }
