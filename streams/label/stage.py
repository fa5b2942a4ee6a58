"""The label stage: `curated` -> `labels`, `discarded` or `dead-letters`; every curated record ends in exactly one.

A recorded answer is harvested where the workload allows it; of the records that would cost a call those go on that
selection/ chooses; one whose cluster has a label takes that, and the teacher is asked for the rest, and for paraphrases
of what is rare. An anchor is asked whatever there is, by a question that never changes. Calls are a window
that slides over the partition: as soon as a prefix is finished it is settled, while the other calls go on and new
records join them. A call's ending is kept until it is settled, so that a record that comes again is not billed again.
A workload whose teacher is away or whose budget is spent waits alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from deploy.edge.privacy.redactor import redactors
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas import topics
from schemas.errors import RecordRejected, SettingsError
from schemas.principals import Principal
from schemas.records import CuratedKind, LabelKind, LabelRecord, Provenance, Split
from schemas.rules.partition import partition_of
from schemas.rules.splits import split_of
from schemas.topics import Topic
from schemas.workload import Workload
from streams.core.dead_letter import dead_letter_of_ours, failed
from streams.core.stage import Message, Output, Reader, Settlement
from streams.label.clusters import ClusterLabels
from streams.label.endings import LabelDecision, labelled
from streams.label.harvest import Path, harvested, learnable
from streams.label.metrics import ANCHORS, ENDED, LABELS, OUTSIDE
from streams.label.paraphrases import paraphrased
from streams.label.prompting.examples import Example, Examples
from streams.label.prompting.prompt import prompt_sha256
from streams.label.question import Question
from streams.label.rare import RareClasses
from streams.label.selection.chooser import Chooser
from streams.label.teacher.client import Refused, TeacherClient
from streams.label.teacher.costs import Costs
from streams.label.teacher.teachers import Teachers
from streams.label.triage import Item, selected, triage
from streams.label.works import Work, WorkEnding, full_of_batches, parted, patience, worth_settling

LOG: Final = logging.getLogger("millrace.label")
LEAST_WINDOW: Final = 256  # records in work: a harvest settles so many at once
WINDOW_SHARE: Final = 4  # times the calls at a time: one slow call at the head does not empty the window


class LabelStage:
    """Gives every curated record its label, or its reason for none."""

    name = Principal.LABEL
    sources: tuple[Topic, ...] = topics.STAGES[name]

    def __init__(
        self,
        settings: Settings,
        workloads: Mapping[str, Workload],
        framing: Framing = SINGLE_OBJECTS,
        examples: Examples | None = None,
    ) -> None:
        """Make a client for every workload's teacher; `examples`: known before any partition is assigned.

        Raises:
            SettingsError: a teacher's URL is not allowed, or a key is not set.
        """
        self._workloads, self._framing = workloads, framing
        self._teachers = Teachers(workloads, settings.allowed_hosts)
        self._prompts = {name: prompt_sha256(each) for name, each in workloads.items()}
        most = max((each.teacher.concurrency for each in workloads.values()), default=1)
        self._window = max(LEAST_WINDOW, WINDOW_SHARE * most)
        batches = [each.teacher.batch for each in workloads.values() if each.teacher.batch.after_hours is not None]
        self.batch_records = self._window + sum(each.records for each in batches)
        horizon = max((each.duplicates.horizon for each in workloads.values()), default=1)
        self._clusters = ClusterLabels(horizon)
        self._chooser = Chooser(workloads)
        self._examples = examples or Examples(workloads)
        self._rare = RareClasses(workloads)
        self._redactors = redactors({name: each for name, each in workloads.items() if each.augment.paraphrases})
        self._works: dict[tuple[int, int], Work] = {}  # by place in `curated`: begun, not yet settled
        self._leaders: dict[tuple[int, str], asyncio.Task[WorkEnding]] = {}  # by cluster: who asks for it

    def assign(self, partition: int, reader: Reader) -> None:
        """Read the labels of the partition's clusters back, and what they cost."""
        self._forget(partition)
        budgets = self._teachers.budgets(self._of(partition))
        for budget in budgets.values():
            budget.clear()
        costs = Costs()
        for message in reader.read(topics.LABELS, partition):
            if message.value is None:
                continue
            record = self._framing.decode(LabelRecord, message.value)
            self._learn(partition, record)
            self._clusters.learn(partition, record)
            costs.add(record, message.appended)
        if any(budget.limited for budget in budgets.values()):
            for topic in (topics.DEAD_LETTERS, topics.CEILINGS):
                for message in reader.read(topic, partition):
                    costs.add(self._framing.decode(topic.record, message.value or b""), message.appended)
        costs.book(budgets)

    def teacher(self, workload: str) -> TeacherClient:
        """Return a workload's teacher, for those who ask it through the stage."""
        return self._teachers.live(workload)

    def give_up(self, messages: Sequence[Message]) -> list[Output]:
        """End the work on messages, and return the endings that are known; between two prompts one is lost."""
        works = [work for each in messages if (work := self._works.pop((each.partition, each.offset), None))]
        endings = [self._output(work) for work in works if work.finished]
        for work in works:
            self._drop(work)
        return endings

    def revoke(self, partition: int) -> None:
        """Forget the partition's clusters, and cancel its calls."""
        self._forget(partition)
        for place in [place for place in self._works if place[0] == partition]:
            self._drop(self._works.pop(place))
        self._teachers.forget(self._of(partition))

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Begin what is new, wait until some is finished, and settle each partition's finished prefix.

        Raises:
            SettingsError: a teacher's key, model or address is wrong.
        """
        await self._begin(messages)
        works = [self._works[(message.partition, message.offset)] for message in messages]
        await worth_settling(works, patience(works, self._teachers.paused(), self._window))
        settled, left = parted(works)
        outputs = [self._output(work) for work in settled]
        paused = self._teachers.paused()
        held = {work.message.partition for work in left if work.item and work.item.workload.name in paused}
        held |= full_of_batches(left)
        return Settlement(
            outputs, committed=lambda: self._merge(settled, outputs), left=[work.message for work in left], held=held
        )

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Return the dead letter of a record our own code fails on."""
        work = self._works.pop((message.partition, message.offset), None)
        if work is not None:
            self._drop(work)
        return Settlement([self._dead_letter(message, failed(error), attempts)])

    async def tick(self, now: datetime) -> dict[int, Settlement]:  # noqa: ARG002 - the stage's contract
        """Log which teachers may be asked again; nothing is due without a message."""
        self._teachers.paused()
        return {}

    async def close(self) -> None:
        """Cancel what is under way, and close the connections to the teachers."""
        for work in self._works.values():
            self._drop(work)
        self._works.clear()
        await self._teachers.close()

    async def _begin(self, messages: Sequence[Message]) -> None:
        """Begin the work on every message that is new."""
        new = [message for message in messages if (message.partition, message.offset) not in self._works]
        triaged = [triage(message, self._workloads, self._framing) for message in new]
        chosen = await selected(triaged, self._chooser)
        for place, (message, item) in enumerate(zip(new, chosen, strict=True)):
            if place % LEAST_WINDOW == LEAST_WINDOW - 1:
                await asyncio.sleep(0)  # what began makes its prompts: thousands at once would hold up the loop
            self._works[(message.partition, message.offset)] = self._work(message, item)

    def _work(self, message: Message, item: Item | Output) -> Work:
        if isinstance(item, Output):
            return Work(message, None, item)
        if item.path is Path.HARVEST:
            label = harvested(item.workload, item.record)
            assert label is not None  # noqa: S101 - what the path says
            verdict = LabelDecision(label, Provenance.HARVEST, teacher_model=item.record.model)
            wanted = self._wants_paraphrases(item, label)
            return Work(message, item, asyncio.create_task(self._paraphrased(item, verdict)) if wanted else verdict)
        return Work(message, item, asyncio.create_task(self._end(item)))

    async def _end(self, item: Item) -> WorkEnding:
        """Take the cluster's label, wait for who asks for it, or ask; the first of a cluster asks for all."""
        while True:
            label = self._cached(item)
            if label is not None:
                return LabelDecision(label, Provenance.CLUSTER)
            leader = self._leaders.get(item.cluster)
            if leader is None or (leader.done() and not isinstance(_result(leader), LabelDecision)):
                break
            await asyncio.wait({leader})
            if isinstance(led := _result(leader), LabelDecision):
                return LabelDecision(led.label, Provenance.CLUSTER)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this coroutine always runs as a task of its own
        self._leaders[item.cluster] = task
        try:
            shown = self._shown(item)
            verdict = await Question(self._teachers.of(item), item.workload, item.record, shown).verdict()
        except RecordRejected as refused:
            return refused
        return await self._paraphrased(item, verdict) if self._wants_paraphrases(item, verdict.label) else verdict

    def _shown(self, item: Item) -> tuple[Example, ...]:
        """Return the examples its prompt shows; an anchor's shows none: its question must never change."""
        if item.path is Path.ANCHOR:
            return ()
        return self._examples.nearest(item.message.partition, item.workload, item.record)

    def _wants_paraphrases(self, item: Item, label: str) -> bool:
        record, workload = item.record, item.workload
        return (
            workload.augment.paraphrases > 0
            and workload.teacher.may_train
            and record.kind is CuratedKind.RECORD
            and split_of(workload.name, record.cluster_id, workload.splits) is Split.TRAIN
            and self._rare.joined(item.message.partition, workload, label, record)
        )

    async def _paraphrased(self, item: Item, verdict: LabelDecision) -> LabelDecision:
        redactor = self._redactors[item.workload.name]
        return await paraphrased(self._teachers.of(item), redactor, item.workload, item.record, verdict)

    def _cached(self, item: Item) -> str | None:
        """Return what the cluster was labelled: by the current question, or for an audited duplicate by whichever."""
        found = self._clusters.known(*item.cluster)
        if found is None or found.label not in item.workload.labels:
            return None
        name = item.workload.name
        same = found.prompt_sha256 == self._prompts[name] and self._teachers.is_now(name, found.teacher_model)
        return found.label if same or item.path is Path.CLUSTER else None

    def _output(self, work: Work) -> Output:
        """Return the ending of a finished work on its topic.

        Raises:
            SettingsError: its teacher's key, model or address is wrong: no record is at fault.
        """
        if isinstance(work.ending, Output):
            return work.ending
        try:
            ending = work.ending.result() if isinstance(work.ending, asyncio.Task) else work.ending
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever our own code did, the other records go on
            LOG.warning("label: %s on one record", type(error).__name__)  # its message may quote the text
            return self._dead_letter(work.message, failed(error), 1)
        assert work.item is not None  # noqa: S101 - only an output has none
        if isinstance(ending, LabelDecision):
            return labelled(work.item.workload, work.message, work.item.record, ending)
        calls = ending.calls if isinstance(ending, Refused) else 1
        return self._dead_letter(work.message, ending, max(1, calls))

    def _dead_letter(self, message: Message, rejected: RecordRejected, attempts: int) -> Output:
        return dead_letter_of_ours(message, self.name, rejected, self._framing, attempts)

    def _merge(self, settled: Sequence[Work], outputs: Sequence[Output]) -> None:
        for work, output in zip(settled, outputs, strict=True):
            if isinstance(output.record, LabelRecord):
                self._clusters.learn(output.partition, output.record)
                self._learn(output.partition, output.record)
            self._drop(self._works.pop((work.message.partition, work.message.offset), work))
            count(work, output)

    def _drop(self, work: Work) -> None:
        """End what still runs for a work."""
        if work.task is not None:
            work.task.cancel()
            if work.item is not None and self._leaders.get(work.item.cluster) is work.task:
                del self._leaders[work.item.cluster]

    def _forget(self, partition: int) -> None:
        for view in (self._clusters, self._chooser, self._examples, self._rare):
            view.forget(partition)

    def _learn(self, partition: int, record: LabelRecord) -> None:
        for view in (self._chooser, self._examples, self._rare):
            view.learn(partition, record)

    def _of(self, partition: int) -> list[str]:
        return [name for name in self._workloads if partition_of(name, topics.PARTITIONS) == partition]


def count(work: Work, output: Output) -> None:
    """Count a settled ending."""
    record, item = output.record, work.item
    if isinstance(record, LabelRecord) and record.kind is LabelKind.ANCHOR:
        ANCHORS.labels(record.workload).inc()
    elif isinstance(record, LabelRecord):
        LABELS.labels(record.workload, record.provenance.lower()).inc()
    else:
        ENDED.labels(output.workload, str(getattr(record, "reason", "")).lower()).inc()
    if item is not None and item.path is not Path.HARVEST and learnable(item.workload, item.record) is not None:
        OUTSIDE.labels(item.workload.name).inc()


def _result(task: asyncio.Task[WorkEnding]) -> WorkEnding | None:
    """Return what a finished task came to; None where it failed or was cancelled."""
    return None if task.cancelled() or task.exception() is not None else task.result()
