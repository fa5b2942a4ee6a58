"""What is written to a batch endpoint and what its files say, in the OpenAI form. Pure.

A file is JSON lines: of requests `custom_id`, `method`, `url`, `body`; of answers `custom_id`, `response` (with
`status_code`, `body`) and `error`. A batch ends as `completed`, `expired` or `cancelled`, each with answers to some of
its requests, or as `failed`, with none; until then it is under way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from schemas.ids import digest
from schemas.records import CuratedKind, CuratedRecord
from schemas.workload import Workload
from streams.label.prompting.prompt import prompt_sha256

ROUTE: Final = "/v1/chat/completions"  # as a batch names it, whatever the endpoint's address
FAILED: Final = "failed"
_ENDED: Final = frozenset({"completed", "expired", "cancelled", FAILED})


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """The answer to one request; status 0: none.

    Kept as bytes: with 20 alternatives per token an answer is 8 kB, and several times as much once read.
    """

    status: int
    raw: bytes

    def body(self) -> dict[str, Any]:
        """Return what the endpoint answered."""
        body = _response(json.loads(self.raw)).get("body")
        return body if isinstance(body, dict) else {}


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """What the endpoint says of a batch."""

    id: str
    status: str
    input_file: str
    answer_files: tuple[str, ...]
    errors: tuple[str, ...]  # codes, of a batch that failed; the words beside them may quote a request
    created: float | None  # seconds since 1970; None: not said
    metadata: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        """Return whether the batch has ended."""
        return self.status in _ENDED

    def is_of(self, owner: Mapping[str, str]) -> bool:
        """Return whether it was sent by an owner, and did not fail: its answers can be used."""
        return self.status != FAILED and owner.items() <= self.metadata.items()


def is_backfill(workload: Workload, record: CuratedRecord) -> bool:
    """Return whether nobody waits for a record: it was old when it arrived."""
    hours = workload.teacher.batch.after_hours
    if hours is None or record.kind is not CuratedKind.RECORD:
        return False
    return record.arrival_time - record.event_time >= timedelta(hours=hours)


def question(workload: Workload) -> str:
    """Return a digest of what a workload asks and whom: prompt version and teacher."""
    return digest("batch", prompt_sha256(workload), workload.teacher.model)


def owner(workload: Workload) -> dict[str, str]:
    """Return the metadata by which a workload recognises the batches whose answers it can use."""
    return {"system": "millrace", "workload": workload.name, "question": question(workload)}


def custom_id(question: str, record_id: str, purpose: str, number: int, repeat: int) -> str:
    """Return the id of a request: the same after every restart, whichever examples its prompt shows.

    Args:
        question: what `question` returns.
        record_id: what is asked about.
        purpose: of the question.
        number: of the record's questions for this purpose, from 0.
        repeat: how often this question was asked before.
    """
    return digest("request", question, record_id, purpose, number, repeat)


def request_line(own: str, body: Mapping[str, Any]) -> bytes:
    """Return a request as a line of a batch's file."""
    return json.dumps({"custom_id": own, "method": "POST", "url": ROUTE, "body": body}).encode() + b"\n"


def custom_ids(file: bytes) -> list[str]:
    """Return the ids of a file's lines; what is no line of a batch is skipped."""
    return [line["custom_id"] for _, line in _lines(file)]


def answers(file: bytes) -> dict[str, AnswerLine]:
    """Return the answer to each request that a file of answers or errors names."""
    return {line["custom_id"]: AnswerLine(_status(line), raw) for raw, line in _lines(file)}


def batch_status(body: Any) -> BatchStatus | None:
    """Return the status of a batch; None where it is no batch."""
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in ("id", "status")):
        return None
    files = (body.get("output_file_id"), body.get("error_file_id"))
    metadata = body.get("metadata")
    return BatchStatus(
        id=body["id"],
        status=body["status"],
        input_file=str(body.get("input_file_id") or ""),
        answer_files=tuple(str(file) for file in files if file),
        errors=tuple(_errors(body.get("errors"))),
        created=_number(body.get("created_at")),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _lines(file: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for raw in file.splitlines():
        try:
            line = json.loads(raw)  # orjson refuses NaN, which some endpoints send as a log-probability
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("custom_id"), str):
            yield raw, line


def _response(line: Mapping[str, Any]) -> dict[str, Any]:
    response = line.get("response")
    return response if isinstance(response, dict) else {}


def _status(line: Mapping[str, Any]) -> int:
    status = _response(line).get("status_code")
    return status if isinstance(status, int) else 0


def _errors(errors: Any) -> Iterator[str]:
    data = errors.get("data") if isinstance(errors, dict) else None
    for one in data if isinstance(data, list) else ():
        if isinstance(one, dict):
            yield str(one.get("code") or "")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
