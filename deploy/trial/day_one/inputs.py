"""What the report is made from: the lines that `millrace replay --report` writes, one for each row of the log.

    {"row": 7, "value": "<base64>", "headers": {"workload": "tickets"}}    a traffic record, as `traffic` would get it
    {"row": 8, "unreadable": "is no JSON: …"}                              a row that could not be read, and why
    {"end": 2}                                                             the last line: the number of rows

Rows come in the order of the file; each has its number there.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import orjson

from schemas.errors import ContractError
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from streams.core.stage import Message


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that could not be used: by its number in the file, with the reason."""

    row: int
    code: str  # of schemas.errors.DeadLetterReason, or `unreadable` where the file's row itself could not be read
    reason: str


def read(lines: Iterable[bytes], workload: str, now: datetime) -> Iterator[Message | Unreadable]:
    """Yield the message of each row, its number as offset, on the workload's partition as if it arrived now.

    Raises:
        ContractError: a line is not of the form above, or the last one is missing: rows are.
    """
    partition, end = partition_of(workload, PARTITIONS), None
    for number, line in enumerate(lines, start=1):
        try:
            fields = orjson.loads(line)
            if "end" in fields:
                end = int(fields["end"])
                break
            row = int(fields["row"])
            if "unreadable" in fields:
                yield Unreadable(row, "unreadable", str(fields["unreadable"]))
                continue
            value = base64.b64decode(fields["value"], validate=True)
            headers = tuple((str(name), str(text).encode()) for name, text in fields["headers"].items())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ContractError(f"line {number} is none that `millrace replay --report` writes: {error!r}") from error
        yield Message(TRAFFIC, partition, row, None, value, headers, now)
    if end is None:
        raise ContractError("the rows ended early: the program that reads the file was stopped")
