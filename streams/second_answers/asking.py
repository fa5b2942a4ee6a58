"""Questions that the label stage puts to a teacher once more, for commands: as the worker asks, on the same budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import Placed, read_placed
from schemas.codec import encode
from schemas.errors import BadInput
from schemas.ids import digest
from schemas.principals import Principal
from schemas.records import CuratedRecord, DeadLetter, LabelRecord, Origin, Record
from schemas.rules.partition import partition_of
from schemas.sections.label import Augment
from schemas.topics import CEILINGS, CURATED, DEAD_LETTERS, LABELS, PARTITIONS
from schemas.workload import Workload
from streams.core.stage import Message
from streams.label.prompting.examples import Examples
from streams.label.stage import LabelStage
from streams.label.teacher.client import TeacherClient
from streams.label.teacher.costs import Costs


def read_asked(settings: Settings, reader: Principal, workload: str, costs: Costs) -> Iterator[Placed[Record]]:
    """Yield a workload's dead letters, ceilings and labels, each in offset order, and add their costs to `costs`.

    Raises:
        ContractError: a topic is missing, or holds something else.
        Unavailable: the cluster does not answer.
    """
    framing = Framing(settings)
    for topic in (DEAD_LETTERS, CEILINGS, LABELS):
        for placed in read_placed(settings, reader, framing, topic, topic.record, workload):
            costs.add(placed.record, placed.appended)
            yield placed


async def ask_again(
    settings: Settings,
    workload: Workload,
    asked: Sequence[tuple[str, str]],
    costs: Costs,
    examples: Examples | None = None,
) -> list[LabelRecord | DeadLetter | None]:
    """Return what the label stage makes of each record and text the second time: a label, or a dead letter.

    The codes come in another order than the first time. None: the budget was spent before an answer came.

    Args:
        settings: the hosts that may be asked.
        workload: whose teacher is asked, and what.
        asked: record ids and texts.
        costs: what was spent before.
        examples: what the prompts show, where they show any.

    Raises:
        BadInput: the budget is spent already.
        Unavailable: the teacher does not answer. SettingsError: its key, model or address is wrong.
    """
    workload = workload.model_copy(update={"augment": Augment()})  # a second question asks for a label alone
    stage = LabelStage(settings, {workload.name: workload}, examples=examples)
    teacher = stage.teacher(workload.name)
    costs.book({workload.name: teacher.budget})
    left = [_message(workload, number, *one) for number, one in enumerate(asked)]
    found: list[LabelRecord | DeadLetter | None] = [None] * len(left)
    try:
        _check_budget(workload, teacher)
        while left:
            settlement = await stage.process(left)
            settlement.committed()
            outputs, left = settlement.outputs, left[len(settlement.outputs) :]
            if not outputs and teacher.spent() is not None:
                outputs, left = stage.give_up(left), []
            for output in outputs:
                _put(found, output.record)
    finally:
        await stage.close()
    return found


def _put(found: list[LabelRecord | DeadLetter | None], record: Record) -> None:
    if isinstance(record, LabelRecord | DeadLetter):
        found[record.origin.offset] = record


def _check_budget(workload: Workload, teacher: TeacherClient) -> None:
    """Refuse to begin where no call may go out.

    Raises:
        BadInput: the budget is spent.
    """
    spent = teacher.spent()
    if spent is not None:
        until = f", or wait until {spent.until:%Y-%m-%d %H:%M} UTC" if spent.until else ""
        raise BadInput(
            f"{workload.name}: teacher.{spent.field}", spent.limit, f"{spent.amount:g} are spent: raise it{until}"
        )


def _message(workload: Workload, number: int, record_id: str, text: str) -> Message:
    """Return a record as the label stage consumes it: audited, so that it is asked; with another id and cluster."""
    other = digest("again", record_id)
    partition = partition_of(workload.name, PARTITIONS)
    now = datetime.now(UTC)
    curated = CuratedRecord(
        record_id=other,
        workload=workload.name,
        origin=Origin(topic=CURATED.name, partition=partition, offset=number),
        event_time=now,
        arrival_time=now,
        text=text,
        text_key=other,
        cluster_id=other,
        audit=True,
    )
    return Message(CURATED, partition, number, workload.name.encode(), encode(curated), (), now)
