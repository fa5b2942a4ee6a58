"""Logs that are made for the tests of the day-one report."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from deploy.trial.day_one.inputs import Unreadable
from deploy.trial.day_one.survey import Survey, survey
from schemas.codec import encode
from schemas.records import AnsweredBy, TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from schemas.workload import Workload
from streams.core.stage import Message

NOW: Final = datetime(2026, 3, 2, tzinfo=UTC)
LABELS: Final = ("rates", "banks", "metals")
WORKLOAD: Final = Workload.parse(b"""
name = "desk"
labels = ["rates", "banks", "metals"]
[aliases]
"interest" = "rates"
[teacher]
may_train = true
[gate]
class_rows = 20
""")
_WORDS: Final = {
    "rates": ("yield", "coupon", "basis", "hike", "curve", "policy"),
    "banks": ("lender", "deposit", "branch", "ledger", "mortgage", "teller"),
    "metals": ("copper", "zinc", "smelter", "ore", "ingot", "nickel"),
}
_FILL: Final = [f"{a}{b}" for a in ("ka", "lo", "mi", "ru", "ste", "va") for b in ("dor", "fen", "lim", "nax", "pol")]


def sentences(count: int, seed: int, noise: float = 0.1) -> list[tuple[str, str]]:
    """Return texts with the label that was answered; a share of the answers has nothing to do with the text."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        about = draw.choice(LABELS)
        words = [*draw.sample(_WORDS[about], 2), *draw.sample(_FILL, 5), f"n{number}"]
        draw.shuffle(words)
        made.append((" ".join(words), draw.choice(LABELS) if draw.random() < noise else about))
    return made


def record(text: str, answer: str | None = None, number: int = 0, **fields: Any) -> TrafficRecord:
    """Return a traffic record that the teacher answered, a minute after the one before."""
    by = AnsweredBy.UNKNOWN if answer is None else AnsweredBy.TEACHER
    given: dict[str, Any] = {
        "answered_by": by,
        "event_time": NOW - timedelta(days=3) + timedelta(minutes=number),
    } | fields
    return TrafficRecord(workload="desk", text=text, answer=answer, **given)


def message(row: int, value: bytes, **headers: str) -> Message:
    """Return a row's message as the report reads it."""
    named = tuple((name, text.encode()) for name, text in headers.items())
    return Message(TRAFFIC, partition_of("desk", PARTITIONS), row, None, value, named, NOW)


def surveyed(records: Sequence[TrafficRecord], workload: Workload = WORKLOAD) -> Survey:
    """Return the survey of records, numbered from 1."""
    rows: list[Message | Unreadable] = [message(row, encode(one)) for row, one in enumerate(records, start=1)]
    return survey(rows, workload, Path())


def five_fields(text: str, answer: str, number: int, model: str = "teacher", **usage: int) -> dict[str, Any]:
    """Return NVIDIA's record of one exchange."""
    response: dict[str, Any] = {
        "id": f"c{number}", "model": model, "created": 1_760_000_000 + 60 * number,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}],
    }  # fmt: skip
    return {
        "timestamp": 1_760_000_000 + 60 * number, "workload_id": "desk", "client_id": "app",
        "request": {"model": model, "messages": [{"role": "user", "content": text}]},
        "response": response | ({"usage": usage} if usage else {}),
    }  # fmt: skip


def write_csv(file: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    """Write texts with answers as a CSV."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "label"])
        writer.writerows(pairs)
    return file


def write_lines(file: Path, values: Sequence[Any]) -> Path:
    """Write values as JSON lines."""
    file.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return file
