"""`millrace suspects`: asks the teacher again about the training labels of a run that look wrong, in other words.

The run's `suspects.parquet` says which. The second question leaves the application's own prompt out and asks only which
label fits best. The answers stand beside it; no label changes by them. Exit codes: 0 done, 2 a mistake or no answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import pyarrow as pa
from pyarrow import parquet

from deploy.edge.command import told_in_one_line
from deploy.edge.settings import Settings
from schemas.errors import BadInput
from schemas.records import LabelRecord, Record
from schemas.workload import Request, Workload
from streams.again import ask_again

ANSWERS: Final = "suspects-again.parquet"
_COLUMNS: Final = ("record_id", "text", "teacher", "likelier")


def in_other_words(workload: Workload) -> Workload:
    """Return the workload with another question: which label fits best, without what the application asks."""
    return workload.model_copy(update={"request": Request()})


def verdict(row: Mapping[str, Any], second: str | None) -> str:
    """Return what a second answer says of a suspect label."""
    if second is None:
        return "no label"
    return {row["teacher"]: "the same label", row["likelier"]: "the likelier label"}.get(second, "a third label")


def told(rows: Sequence[Mapping[str, Any]], again: Sequence[Record]) -> str:
    """Return in words how many labels stood, and what the answers cost."""
    counts = Counter(verdict(row, _label(record)) for row, record in zip(rows, again, strict=True))
    labels = [record for record in again if isinstance(record, LabelRecord)]
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in labels)
    shown = ", ".join(f"{count} {what}" for what, count in counts.most_common())
    return (
        f"{len(rows)} suspects asked again, {sum(one.teacher_calls for one in labels)} calls, {tokens} tokens: {shown}"
    )


def _label(record: Record) -> str | None:
    return record.label if isinstance(record, LabelRecord) else None


def _suspects(file: Path, workload: Workload) -> pa.Table:
    try:
        table = parquet.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise BadInput("FILE", str(file), f"is no suspects.parquet of a run: {error}") from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise BadInput("FILE", str(file), f"is no suspects.parquet of a run: it has no column {missing[0]!r}")
    if not len(table):
        raise BadInput("FILE", str(file), "lists no suspects; there is nothing to ask")
    strange = set(table.column("teacher").to_pylist()) - set(workload.labels)
    if strange:
        raise BadInput("FILE", str(file), f"has a label that {workload.name} does not know: {min(strange)!r}")
    return table


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--workload", "name", help="Whose run it is.  [default: the only one there is]")
@click.option(
    "--first", type=click.IntRange(min=1), help="Ask about so many, the least probable first.  [default: all]"
)
@told_in_one_line
def main(file: Path, name: str | None, first: int | None) -> None:
    """Ask the teacher again about the suspects of a run: FILE is its suspects.parquet. The calls are billed."""
    settings = Settings.load()
    workload = settings.workload(name)
    table = _suspects(file, workload).slice(0, first)
    rows: list[dict[str, Any]] = table.to_pylist()
    asked = [(row["record_id"], row["text"]) for row in rows]
    again = asyncio.run(ask_again(settings, in_other_words(workload), asked))
    answers = file.with_name(ANSWERS)
    second = pa.array([_label(record) for record in again], pa.string())
    parquet.write_table(table.append_column("second", second), answers)
    click.echo(f"{told(rows, again)}\n{answers}")


if __name__ == "__main__":
    main(prog_name="millrace suspects")
