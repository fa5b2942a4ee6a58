"""The label stage: `curated` -> `labels`, `discarded` or `dead-letters`; every curated record ends in exactly one.

A recorded answer is harvested where the workload allows it, an audited duplicate takes its cluster's label, and the
teacher is asked for the rest. Answers are kept until their batch is settled, so that a batch that comes again is not
billed again. Of the records that would cost a call those are asked that selection/ chooses. No budget, no cache over
batches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from deploy.edge.framing import SINGLE_OBJECTS, Framing
from deploy.edge.settings import Settings
from schemas import topics
from schemas.errors import DeadLetterReason, RecordRejected, SettingsError
from schemas.records import CuratedRecord, DiscardReason, LabelKind, LabelRecord, Provenance
from schemas.topics import Topic
from schemas.workload import Workload
from streams.label.clusters import ClusterLabels
from streams.label.endings import Verdict, dead_letter, discarded, labelled
from streams.label.harvest import Path, harvested, path_of
from streams.label.metrics import ENDED, LABELS
from streams.label.probabilities import class_probabilities
from streams.label.prompt import Prompt, coded_prompt, label_of, plain_prompt
from streams.label.selection.chooser import Chooser
from streams.label.teacher import Answer, TeacherClient
from streams.stage import Message, Output, Reader, Settlement
from streams.transaction import WorkerFailed

LOG: Final = logging.getLogger("millrace.label")
BATCH_RECORDS: Final = 256  # small: a batch settles only when its slowest answer is there

Ending = Verdict | RecordRejected


@dataclass(frozen=True, slots=True)
class _Item:
    """One message of a batch that can be labelled."""

    message: Message
    record: CuratedRecord
    workload: Workload
    path: Path


class LabelStage:
    """Gives every curated record its label, or its reason for none."""

    name = "label"
    sources: tuple[Topic, ...] = (topics.CURATED,)
    batch_records = BATCH_RECORDS

    def __init__(
        self, settings: Settings, workloads: Mapping[str, Workload], framing: Framing = SINGLE_OBJECTS
    ) -> None:
        """Make a client for every workload's teacher.

        Raises:
            SettingsError: a teacher's URL is not allowed, or its key is not set.
        """
        self._workloads, self._framing = workloads, framing
        self._teachers = {name: TeacherClient(each, settings.allowed_hosts) for name, each in workloads.items()}
        horizon = max((each.duplicates.horizon for each in workloads.values()), default=1)
        self._clusters = ClusterLabels(horizon)
        self._chooser = Chooser(workloads)
        self._kept: dict[tuple[int, int], Ending] = {}  # by place in `curated`: answered, not yet settled

    def assign(self, partition: int, reader: Reader) -> None:
        """Read the labels of the partition's clusters back."""
        self._clusters.forget(partition)
        self._chooser.forget(partition)
        for message in reader.read(topics.LABELS, partition):
            if message.value is None:
                continue
            record = self._framing.decode(LabelRecord, message.value)
            self._chooser.learn(partition, record)
            if record.kind is not LabelKind.ERASURE:
                self._clusters.add(partition, {record.cluster_id: record.label})

    def revoke(self, partition: int) -> None:
        """Forget the partition's clusters and unsettled answers."""
        self._clusters.forget(partition)
        self._chooser.forget(partition)
        for place in [place for place in self._kept if place[0] == partition]:
            del self._kept[place]

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Label a batch: first all that stand alone, then the duplicates that wait for their cluster's label.

        Raises:
            Unavailable: a teacher does not answer.
            WorkerFailed: a teacher's key, model or address is wrong.
        """
        ended: dict[int, Output] = {}
        alone: dict[int, _Item] = {}
        waiting: dict[int, _Item] = {}
        for index, message in enumerate(messages):
            item = self._triage(message)
            if isinstance(item, Output):
                ended[index] = item
            else:
                (waiting if item.path is Path.CLUSTER else alone)[index] = item
        ended |= await self._select(alone)
        fresh: dict[int, dict[str, str]] = {}
        ended |= await self._finish(alone, fresh)
        while waiting:  # the first duplicate of a cluster without a label asks; the others then take what it got
            ready = self._first_of_each(waiting, fresh)
            ended |= await self._finish(ready, fresh)
            waiting = {index: item for index, item in waiting.items() if index not in ready}
        outputs = [ended[index] for index in range(len(messages))]
        return Settlement(outputs, committed=lambda: self._merge(messages, outputs, fresh))

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Return the dead letter of a record our own code fails on."""
        detail = f"{type(error).__name__}: {error}"
        reason, own = DeadLetterReason.PROCESSING_FAILED, self._readable_id(message)
        return Settlement([dead_letter(message, self.name, reason, detail, attempts, own)])

    async def tick(self, now: datetime) -> dict[int, Settlement]:  # noqa: ARG002 - the stage's contract
        """Nothing is due without a message."""
        return {}

    async def close(self) -> None:
        """Close the connections to the teachers."""
        for teacher in self._teachers.values():
            await teacher.close()

    def _triage(self, message: Message) -> _Item | Output:
        """Decode a message and find its path, or end it."""
        try:
            record = self._framing.decode(CuratedRecord, message.value or b"")
        except RecordRejected as error:
            return dead_letter(message, self.name, error.reason, error.detail)
        workload = self._workloads.get(record.workload)
        if workload is None:
            reason, detail = DeadLetterReason.UNKNOWN_WORKLOAD, "no file of this workload"
            return dead_letter(message, self.name, reason, detail, record_id=record.record_id)
        path = path_of(workload, record)
        if path is Path.DROP_VOTE:
            return discarded(message, record, DiscardReason.VOTE, path.value)
        if path is Path.DROP_STUDENT:
            return discarded(message, record, DiscardReason.ANSWERED_BY_STUDENT, path.value)
        return _Item(message, record, workload, path)

    async def _select(self, items: dict[int, _Item]) -> dict[int, Output]:
        """Take the records out of `items` that are not worth a call; say of those that are, why and how likely."""
        costly = {index: item for index, item in items.items() if _is_choosable(item)}
        if not costly:
            return {}
        await asyncio.to_thread(self._chooser.refit)
        ended: dict[int, Output] = {}
        choices = self._chooser.choices([(item.message.partition, item.record) for item in costly.values()])
        for (index, item), choice in zip(costly.items(), choices, strict=True):
            if choice.chosen:
                chance = choice.propensity * (1.0 if item.record.propensity is None else item.record.propensity)
                record = replace(item.record, selection_reason=choice.reason, propensity=chance)
                items[index] = replace(item, record=record)
            else:
                del items[index]
                ended[index] = discarded(item.message, item.record, DiscardReason.NOT_SELECTED, choice.told())
        return ended

    def _readable_id(self, message: Message) -> str | None:
        """Return the id of a message that our own code failed on, where at least that can be read."""
        try:
            return self._framing.decode(CuratedRecord, message.value or b"").record_id
        except Exception:  # noqa: BLE001 - what the stage failed on may fail here too; its dead letter must be written
            return None

    def _first_of_each(self, waiting: Mapping[int, _Item], fresh: Mapping[int, Mapping[str, str]]) -> dict[int, _Item]:
        """Return the waiting items whose cluster has a label, and one item of each cluster that has none."""
        ready: dict[int, _Item] = {}
        asking: set[tuple[int, str]] = set()
        for index, item in waiting.items():
            place = (item.message.partition, item.record.cluster_id)
            if self._known(item, fresh) is None:
                if place in asking:
                    continue
                asking.add(place)
            ready[index] = item
        return ready

    def _known(self, item: _Item, fresh: Mapping[int, Mapping[str, str]]) -> str | None:
        partition, cluster = item.message.partition, item.record.cluster_id
        label = fresh.get(partition, {}).get(cluster) or self._clusters.label(partition, cluster)
        return label if label in item.workload.labels else None

    async def _finish(self, items: Mapping[int, _Item], fresh: dict[int, dict[str, str]]) -> dict[int, Output]:
        """End all items, asking the teachers at the same time; their labels go into `fresh`."""
        endings: dict[int, Ending] = {}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {index: group.create_task(self._end(item, fresh)) for index, item in items.items()}
        except BaseExceptionGroup as failures:  # one failure ends the batch: the rest would only wait for its turn
            raise _worst(failures) from failures
        endings = {index: task.result() for index, task in tasks.items()}
        outputs: dict[int, Output] = {}
        for index, ending in endings.items():
            item = items[index]
            if isinstance(ending, RecordRejected):
                own = item.record.record_id
                outputs[index] = dead_letter(item.message, self.name, ending.reason, ending.detail, record_id=own)
                continue
            fresh.setdefault(item.message.partition, {}).setdefault(item.record.cluster_id, ending.label)
            outputs[index] = labelled(item.workload, item.message, item.record, ending)
        return outputs

    async def _end(self, item: _Item, fresh: Mapping[int, Mapping[str, str]]) -> Ending:
        if item.path is Path.HARVEST:
            label = harvested(item.workload, item.record)
            assert label is not None  # noqa: S101 - what the path says
            return Verdict(label, Provenance.HARVEST, teacher_model=item.record.model)
        if item.path is Path.CLUSTER and (label := self._known(item, fresh)) is not None:
            return Verdict(label, Provenance.CLUSTER)
        place = (item.message.partition, item.message.offset)
        if place not in self._kept:
            try:
                self._kept[place] = await self._ask(item)
            except RecordRejected as refused:
                self._kept[place] = refused
        return self._kept[place]

    async def _ask(self, item: _Item) -> Verdict:
        """Ask the teacher, a second time in plain words where its answer is none of the labels.

        Raises:
            RecordRejected: the second answer is none of the labels either, or the endpoint refuses the record.
        """
        teacher = self._teachers[item.workload.name]
        first = coded_prompt(item.workload, item.record.text, item.record.record_id)
        answer = await teacher.ask(first)
        label = label_of(item.workload, first, answer.text)
        if label is not None:
            return _verdict(label, answer, _soft(first, answer, label))
        second = plain_prompt(item.workload, item.record.text)
        again = await teacher.ask(second)
        label = label_of(item.workload, second, again.text)
        if label is None:
            raise RecordRejected(DeadLetterReason.UNKNOWN_LABEL, "the teacher answered outside the label set, twice")
        spent = replace(
            again,
            calls=answer.calls + again.calls,
            prompt_tokens=answer.prompt_tokens + again.prompt_tokens,
            completion_tokens=answer.completion_tokens + again.completion_tokens,
        )
        return _verdict(label, spent, None)

    def _merge(
        self, messages: Sequence[Message], outputs: Sequence[Output], fresh: Mapping[int, Mapping[str, str]]
    ) -> None:
        for partition, labels in fresh.items():
            self._clusters.add(partition, labels)
        for output in outputs:
            if isinstance(output.record, LabelRecord):
                self._chooser.learn(output.partition, output.record)
        for message in messages:
            self._kept.pop((message.partition, message.offset), None)
        for output in outputs:
            count(output)


def _is_choosable(item: _Item) -> bool:
    """Tell whether selection decides on a record: it would cost a call, and no audit chose it before."""
    return item.path is Path.TEACHER and not item.record.audit and item.workload.select.policy != "everything"


def _worst(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure to act on; a wrong key or model ends the worker, for no record is at fault."""
    for failure in failures.exceptions:
        if isinstance(failure, SettingsError):
            return WorkerFailed(str(failure))
    return failures.exceptions[0]


def count(output: Output) -> None:
    """Count a settled ending."""
    record = output.record
    if isinstance(record, LabelRecord):
        LABELS.labels(record.workload, record.provenance.lower()).inc()
    else:
        ENDED.labels(output.workload, str(getattr(record, "reason", "")).lower()).inc()


def _soft(prompt: Prompt, answer: Answer, label: str) -> dict[str, float] | None:
    """Return the soft label, if the answer's first token was the whole code it stands for."""
    if not answer.top or prompt.choices.get(answer.top[0][0].strip()) != label:
        return None
    return class_probabilities(prompt.choices, answer.top)


def _verdict(label: str, answer: Answer, soft: dict[str, float] | None) -> Verdict:
    return Verdict(
        label,
        Provenance.TEACHER,
        class_probabilities=soft,
        teacher_model=answer.model,
        teacher_calls=answer.calls,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
