"""One headline as bytes on `traffic`, in the three forms that it accepts: our Avro, five-field JSON, bare OpenAI JSON.

Only answered records take the JSON forms: the answer holds their time. Nothing here decides which form or answer it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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


def bare(content: RecordContent, workload: Workload) -> Wire:
    """Return our Avro record with the text alone."""
    return _avro(content, workload, text=content.text)


def chat(content: RecordContent, workload: Workload) -> Wire:
    """Return our Avro record with the chat request as JSON."""
    return _avro(content, workload, request=canonical(_request(content, workload)).decode())


def five_fields(content: RecordContent, workload: Workload) -> Wire:
    """Return NVIDIA's record: timestamp, workload_id, client_id, request, response."""
    value = {
        "timestamp": int(content.event_time.timestamp()),
        "workload_id": workload.name,
        "client_id": content.client,
        "request": _request(content, workload),
        "response": _response(content, workload),
    }
    return Wire(workload.name, canonical(value), (("id", content.id.encode()),))


def openai_pair(content: RecordContent, workload: Workload) -> Wire:
    """Return a bare request and response, with the workload in a header."""
    value = {"request": _request(content, workload), "response": _response(content, workload)}
    return Wire(workload.name, canonical(value), (("workload", workload.name.encode()), ("id", content.id.encode())))


def _avro(content: RecordContent, workload: Workload, *, text: str | None = None, request: str | None = None) -> Wire:
    record = TrafficRecord(
        workload=workload.name,
        event_time=content.event_time,
        id=content.id,
        client=content.client,
        source=content.source,
        text=text,
        request=request,
    )
    if content.answer is not None:
        answer = answer_for(workload, content.answer)
        record = replace(record, answer=answer, answered_by=AnsweredBy.TEACHER, model=PRACTICE_TEACHER)
    return Wire(workload.name, encode(record))


def _request(content: RecordContent, workload: Workload) -> dict[str, Any]:
    return {"model": PRACTICE_TEACHER, "messages": messages_for(workload, content.text), "temperature": 0}


def _response(content: RecordContent, workload: Workload) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer_for(workload, content.answer or "")}
    words = len(content.text.split())
    return {
        "id": content.id,
        "object": "chat.completion",
        "created": int(content.event_time.timestamp()),
        "model": PRACTICE_TEACHER,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 2 * words, "completion_tokens": 3, "total_tokens": 2 * words + 3},
    }
