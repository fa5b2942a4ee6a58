"""Which column of a file is the text, the label, the id and the time, and a row as a traffic record. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from deploy.trial.simulate.forms import Wire
from deploy.trial.simulate.tables import FileRow
from schemas.codec import encode
from schemas.errors import BadInput
from schemas.records import AnsweredBy, TrafficRecord
from schemas.rules.chat import answer_for, label_in
from schemas.workload import Workload

START: Final = datetime(2025, 1, 6, 6, tzinfo=UTC)  # made-up arrivals begin here: fixed, so that a replay is the same
GAP_SECONDS: Final = 60.0
_MILLISECONDS_FROM: Final = 1e11  # as seconds that is the year 5138

_TEXT: Final = "text headline title sentence content message query question utterance document review news body input"
TEXT: Final = tuple(_TEXT.split())
LABEL: Final = ("label", "category", "class", "intent", "topic", "sentiment", "target", "label_text")
ID: Final = ("id", "record_id", "uuid", "guid")
TIME: Final = ("event_time", "timestamp", "time", "datetime", "published_at", "created_at", "date")


@dataclass(frozen=True)
class Columns:
    """The columns that are played."""

    text: str
    label: str | None
    id: str | None
    time: str | None


@dataclass(frozen=True)
class Playing:
    """Who is named as the author of the recorded answers."""

    answered_by: AnsweredBy
    model: str | None


def choose(known: Sequence[str], text: str | None, label: str | None, own: str | None, time: str | None) -> Columns:
    """Return the named columns, and common names for those that were not named.

    Raises:
        BadInput: a column is not there, or no column looks like the text.
    """
    for option, name in (("--text", text), ("--label", label), ("--id", own), ("--time", time)):
        if name is not None and name not in known:
            raise BadInput(option, name, f"is no column; columns: {', '.join(known)}")
    found = text or _guess(known, TEXT)
    if found is None:
        raise BadInput("--text", None, f"no column looks like the text; name one of: {', '.join(known)}")
    return Columns(found, label or _guess(known, LABEL), own or _guess(known, ID), time or _guess(known, TIME))


def is_exchange(row: FileRow) -> bool:
    """Return whether a JSON row is a traffic record already: five-field, or an OpenAI request, answered or not."""
    values = row.values
    return row.line is not None and ("messages" in values or isinstance(values.get("request"), dict))


def unchanged(row: FileRow, workload: Workload) -> Wire:
    """Return a row that is a traffic record already, byte by byte."""
    own = row.values.get("workload_id")
    name = own if isinstance(own, str) and own else workload.name
    headers = () if "workload_id" in row.values else (("workload", workload.name.encode()),)
    return Wire(name, row.line or b"", headers)


def record(
    row: FileRow, columns: Columns, *, playing: Playing, workload: Workload, arrival: datetime, source: str
) -> TrafficRecord:
    """Return a row as a traffic record; `arrival` is used where the file has no time.

    Raises:
        BadInput: the row's time cannot be read.
    """
    said = row.values.get(columns.label) if columns.label else None
    answer = model = None
    answered_by = AnsweredBy.UNKNOWN
    if said is not None and str(said).strip():
        answer = answer_for(workload, label_in(workload, str(said)) or str(said))
        answered_by, model = playing.answered_by, playing.model
    own = row.values.get(columns.id) if columns.id else None
    text = row.values[columns.text]
    return TrafficRecord(
        workload=workload.name,
        event_time=_time(row, columns.time) if columns.time else arrival,
        id=str(own) if own not in (None, "") else f"{source}-{row.number}",
        client="replay",
        source=source,
        text="" if text is None else str(text),
        answer=answer,
        answered_by=answered_by,
        model=model,
    )


def wire(record: TrafficRecord) -> Wire:
    """Return the record's bytes."""
    return Wire(record.workload, encode(record))


def arrivals(seed: int) -> Iterator[datetime]:
    """Yield made-up arrival times, growing."""
    gaps = random.Random(f"{seed}:arrivals")
    now = START
    while True:
        now += timedelta(milliseconds=gaps.randint(1, int(GAP_SECONDS * 1000)))
        yield now


def _guess(known: Sequence[str], names: Sequence[str]) -> str | None:
    folded = {name.casefold(): name for name in reversed(known)}
    return next((folded[name] for name in names if name in folded), None)


def _time(row: FileRow, column: str) -> datetime:
    value: Any = row.values[column]
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, int | float) or str(value).replace(".", "", 1).isdigit():
            seconds = float(value)
            found = datetime.fromtimestamp(seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds, UTC)
        else:
            found = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise BadInput(
            f"row {row.number}: {column}", value, "is no time; use ISO 8601 or seconds since 1970"
        ) from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
