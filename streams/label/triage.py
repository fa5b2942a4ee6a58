"""What becomes of a curated message before anything is asked: an item that goes on, or its ending at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploy.edge.topics.framing import Framing
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import CuratedRecord, DiscardReason
from schemas.workload import Workload
from streams.core.dead_letter import dead_letter_of_ours
from streams.core.stage import Message, Output
from streams.label.endings import discarded
from streams.label.harvest import Path, path_of
from streams.label.selection.chooser import Chooser
from streams.label.teacher.batches.form import is_backfill

STAGE: Final = "label"


@dataclass(frozen=True, slots=True)
class Item:
    """One message that can be labelled."""

    message: Message
    record: CuratedRecord
    workload: Workload
    path: Path
    batched: bool  # its questions go in batches

    @property
    def cluster(self) -> tuple[int, str]:
        """Return its near-duplicate cluster, by partition."""
        return self.message.partition, self.record.cluster_id


def triage(message: Message, workloads: Mapping[str, Workload], framing: Framing) -> Item | Output:
    """Decode a message and find its path, or end it."""
    try:
        record = framing.decode(CuratedRecord, message.value or b"")
    except RecordRejected as error:
        return dead_letter_of_ours(message, STAGE, error, framing)
    workload = workloads.get(record.workload)
    if workload is None:
        unknown = RecordRejected(DeadLetterReason.UNKNOWN_WORKLOAD, "no file of this workload")
        return dead_letter_of_ours(message, STAGE, unknown, framing)
    path = path_of(workload, record)
    if path is Path.DROP_VOTE:
        return discarded(message, record, DiscardReason.VOTE, path.value)
    if path is Path.DROP_STUDENT:
        return discarded(message, record, DiscardReason.ANSWERED_BY_STUDENT, path.value)
    return Item(message, record, workload, path, is_backfill(workload, record))


async def selected(triaged: Sequence[Item | Output], chooser: Chooser) -> list[Item | Output]:
    """End the records that are not worth a call; say of those that are, why and how likely."""
    decided = list(triaged)
    costly = {at: item for at, item in enumerate(triaged) if isinstance(item, Item) and _is_choosable(item)}
    if not costly:
        return decided
    await asyncio.to_thread(chooser.refit)
    choices = chooser.choices([(item.message.partition, item.record) for item in costly.values()])
    for (at, item), choice in zip(costly.items(), choices, strict=True):
        if choice.chosen:
            chance = choice.propensity * (1.0 if item.record.propensity is None else item.record.propensity)
            record = replace(item.record, selection_reason=choice.reason, propensity=chance)
            decided[at] = replace(item, record=record)
        else:
            decided[at] = discarded(item.message, item.record, DiscardReason.NOT_SELECTED, choice.summary())
    return decided


def _is_choosable(item: Item) -> bool:
    """Return whether selection decides on a record: it would cost a call, and no audit chose it before."""
    return item.path is Path.TEACHER and not item.record.audit and item.workload.select.policy != "everything"
