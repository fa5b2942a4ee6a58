"""Rows of a file of human labels, CSV or JSON lines, checked one by one: a file with a mistake adds nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import BadInput
from schemas.rules.chat import label_in
from schemas.workload import Workload

FIELDS: Final = ("text", "label", "annotator")
_REMEDIES: Final = {
    "text": "every line needs a text",
    "label": "every line needs the label that a person gave",
    "annotator": "say who gave the label, in the file or with --annotator",
}


@dataclass(frozen=True, slots=True)
class GoldRow:
    """One line: what a person said of a text."""

    line: int
    text: str  # as in the file: not yet redacted
    label: str
    annotator: str


def read_rows(file: Path, workload: Workload, annotator: str | None = None) -> list[GoldRow]:
    """Return the rows of a file.

    Args:
        file: CSV with a header, or JSON lines (.jsonl, .ndjson), in UTF-8.
        workload: whose labels and aliases count.
        annotator: of the lines that name none.

    Raises:
        BadInput: the file cannot be read, or a line of it, by line and field.
    """
    rows = [_row(file, line, values, workload, annotator) for line, values in _lines(file)]
    if not rows:
        raise BadInput("FILE", str(file), "holds no line; give text, label and annotator in each")
    return rows


def _lines(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            if file.suffix.lower() in (".jsonl", ".ndjson"):
                yield from _json_lines(file, opened)
            else:
                yield from _csv_lines(file, opened)
    except OSError as error:
        raise BadInput("FILE", str(file), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput("FILE", str(file), "is not UTF-8; save it so") from error


def _csv_lines(file: Path, opened: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(opened, strict=True)
    try:
        missing = [name for name in ("text", "label") if name not in (reader.fieldnames or ())]
        if missing:
            raise BadInput(
                f"{file}: header", ", ".join(reader.fieldnames or ()), f"needs a column {missing[0]!r}; has none"
            )
        for values in reader:
            yield reader.line_num, values
    except csv.Error as error:
        raise BadInput(f"{file} after line {reader.line_num}", "", f"is no CSV: {error}") from error


def _json_lines(file: Path, opened: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(opened, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise BadInput(f"{file} line {number}", line.strip(), f"is no JSON: {error}") from error
        if not isinstance(values, dict):
            raise BadInput(f"{file} line {number}", line.strip(), "must be an object with text, label and annotator")
        yield number, values


def _row(file: Path, line: int, values: Mapping[str, Any], workload: Workload, annotator: str | None) -> GoldRow:
    fields = {name: values.get(name) for name in FIELDS}
    fields["annotator"] = fields["annotator"] or annotator
    for name, value in fields.items():
        if not isinstance(value, str) or not value.strip():
            raise BadInput(f"{file} line {line}: {name}", value, _REMEDIES[name])
    label = label_in(workload, str(fields["label"]))
    if label is None:
        raise BadInput(
            f"{file} line {line}: label",
            fields["label"],
            f"is none of {workload.name}'s labels: {', '.join(workload.labels)}",
        )
    return GoldRow(line, str(fields["text"]), label, str(fields["annotator"]).strip())
