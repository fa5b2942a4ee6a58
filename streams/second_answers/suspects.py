"""`millrace suspects`: asks the teacher again about the training labels of a run that look wrong, in other words.

The run's `suspects.parquet` says which. The second question leaves the application's own prompt out and asks only which
label fits best. Steps:

  1 `labels` is read: a label that is erased, has changed, or was asked about in these words is skipped
  2 the teacher is asked, within the workload's budget
  3 a correction is written to `labels` for each answer, all or none: later snapshots learn from it
  4 the answers are written beside the list

Exit codes: 0 done, 2 a mistake, a spent budget, or no answer.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.writing import transaction
from schemas.errors import BadInput
from schemas.principals import Principal
from schemas.records import DeadLetter, LabelRecord
from schemas.rules.partition import partition_of
from schemas.rules.spend import Spend, cost_of
from schemas.sections.intake import Request
from schemas.topics import DEAD_LETTERS, LABELS, PARTITIONS
from schemas.workload import Workload
from streams.label.prompting.prompt import prompt_sha256
from streams.label.teacher.costs import Costs
from streams.second_answers.asking import ask_again, read_asked
from streams.second_answers.corrections import LabelHistory, Why, Wording, histories, sifted, written

ANSWERS: Final = "suspects-again.parquet"
_COLUMNS: Final = ("record_id", "text", "teacher", "likelier")

SecondAnswer = LabelRecord | DeadLetter | None


def in_other_words(workload: Workload) -> Workload:
    """Return the workload with another question: which label fits best, without what the application asks."""
    return workload.model_copy(update={"request": Request()})


def verdict(row: Mapping[str, Any], answer: SecondAnswer) -> str:
    """Return what a second answer says of a suspect label."""
    if answer is None:
        return "not asked: the budget is spent"
    if isinstance(answer, DeadLetter):
        return "no label"
    return {row["teacher"]: "the same label", row["likelier"]: "the likelier label"}.get(answer.label, "a third label")


def summary(answers: Sequence[tuple[Mapping[str, Any], SecondAnswer]], passed: Mapping[Why, int]) -> str:
    """Return in words how many labels were confirmed, and what the answers cost."""
    counts = Counter(verdict(row, answer) for row, answer in answers)
    costs = (cost_of(answer) for _, answer in answers if answer is not None)
    spend = sum((cost for cost in costs if cost is not None), Spend())
    asked = sum(answer is not None for _, answer in answers)
    tokens = spend.prompt_tokens + spend.completion_tokens
    shown = ", ".join(f"{count} {what}" for what, count in counts.most_common())
    first = f"{asked} suspects asked again, {spend.calls} calls, {tokens} tokens{': ' if shown else ''}{shown}"
    return "\n".join([first, *(f"{count} skipped: {why}" for why, count in passed.items())])


def write(settings: Settings, workload: str, records: Iterable[LabelRecord | DeadLetter]) -> None:
    """Put corrections on `labels`, and dead letters of refused questions beside them, all or none.

    Raises:
        Unavailable: the cluster did not take them; nothing is written.
    """
    framing, partition = Framing(settings), partition_of(workload, PARTITIONS)
    framing.register([LABELS, DEAD_LETTERS])
    with transaction(settings, Principal.SUSPECTS) as put:
        for record in records:
            topic = LABELS if isinstance(record, LabelRecord) else DEAD_LETTERS
            put(topic, partition, workload.encode(), framing.encode(topic, record), ())


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
    if not os.access(file.parent, os.W_OK):
        raise BadInput("FILE", str(file), f"its folder takes no {ANSWERS}; copy the file to one that you may write to")
    return table


def _answered(
    settings: Settings, workload: Workload, costs: Costs, asked: Sequence[LabelHistory], wording: Wording
) -> list[SecondAnswer]:
    """Ask, and write what is said; return the answers in the order of what was asked."""
    if not asked:
        return []
    questions = [(one.record.record_id, one.record.text) for one in asked]
    answers = asyncio.run(ask_again(settings, workload, questions, costs))
    partition = partition_of(workload.name, PARTITIONS)
    kept = [written(one, partition, wording, answer) for one, answer in zip(asked, answers, strict=True)]
    write(settings, workload.name, [record for record in kept if record is not None])
    return answers


def ask(settings: Settings, file: Path, name: str | None, first: int | None) -> None:
    """Ask the teacher about the suspects of a run, correct the labels, and print the outcome.

    Args:
        settings: the cluster and the folder of workloads.
        file: the run's suspects.parquet.
        name: of the workload; None: the only one there is.
        first: how many are asked about at most, the least probable first; None: all.

    Raises:
        BadInput: the file is none of a run of this workload.
        Unavailable: teacher or cluster does not answer.
    """
    workload = settings.workload(name)
    table = _suspects(file, workload)
    rows: list[dict[str, Any]] = table.to_pylist()
    again, costs = in_other_words(workload), Costs()
    wording = Wording(prompt_sha256(again), workload.teacher.model)
    read = read_asked(settings, Principal.SUSPECTS, workload.name, costs)
    found = histories(read, {row["record_id"] for row in rows})
    asked, passed = sifted(rows, found, wording)
    asked = asked[:first]
    answers = _answered(settings, again, costs, asked, wording)
    by_id = {one.record.record_id: answer for one, answer in zip(asked, answers, strict=True)}
    print(summary([(row, by_id[row["record_id"]]) for row in rows if row["record_id"] in by_id], passed))
    second = [_second(found.get(row["record_id"]), by_id.get(row["record_id"])) for row in rows]
    print(_beside(file, table.append_column("second", pa.array(second, pa.string()))))


def _beside(file: Path, answered: pa.Table) -> Path:
    answers = file.with_name(ANSWERS)
    try:
        parquet.write_table(answered, answers)
    except OSError as error:
        raise BadInput("FILE", str(answers), f"cannot be written: {error}; the corrections are on `labels`") from error
    return answers


def _second(one: LabelHistory | None, answer: SecondAnswer) -> str | None:
    """Return the new second answer, else the last on `labels`."""
    if isinstance(answer, LabelRecord):
        return answer.label
    return None if one is None else one.second
