"""The curate stage: `traffic` -> `curated`, `discarded` or `dead-letters`; every traffic record ends in exactly one.

In order: decode, check (intake.py), redact, normalise, find duplicates, filter, blend, cap, enrich (group.py). Nothing
but `traffic` ever holds personal data, so redaction comes before anything is stored, sent or logged. A record on
another workload's partition is sent on, once. A duplicate goes on as a vote where it carries another recorded answer
than the first or comes with any after such a one, or where it was drawn for audit.

Where `triggers.teacher_drift` is set, the stage also begins the rounds of anchors (anchors.py), since its state is read
back from `curated`: it knows which round was asked last, and a round goes out whole, in one transaction, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from deploy.edge.privacy.redactor import redactors
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.principals import Principal
from schemas.rules.partition import partition_of
from schemas.topics import CURATED, PARTITIONS, STAGES, Topic
from schemas.workload import Workload
from streams.core.dead_letter import failed
from streams.core.stage import Message, Output, Reader, Settlement
from streams.curate import anchors
from streams.curate.anchors import GoldText
from streams.curate.gold import gold_texts
from streams.curate.group import GroupCurator
from streams.curate.intake import Candidate, Intake
from streams.curate.state import PartitionState, WorkloadOverlay

BATCH_RECORDS: Final = 5_000  # a commit takes 15-35 ms: at 2,000 a batch it costs half the throughput


class CurateStage:
    """Cleans traffic, once per text."""

    name = Principal.CURATE
    sources: tuple[Topic, ...] = STAGES[name]
    batch_records = BATCH_RECORDS

    def __init__(
        self,
        settings: Settings,
        workloads: Mapping[str, Workload],
        framing: Framing = SINGLE_OBJECTS,
        gold: Callable[[str], Iterable[GoldText]] | None = None,
    ) -> None:
        """Take the workloads whose traffic is curated.

        Args:
            settings: the worker's settings: the folder that a workload's classifier lies in.
            workloads: by name.
            framing: reads values.
            gold: returns the texts of a workload's current human labels; None: read from Kafka.

        Raises:
            SettingsError: the key or the model that a workload's redaction wants is not there.
            WorkloadError: a workload's classifier cannot be used.
        """
        self._workloads = workloads
        self._framing = framing
        self._intake = Intake(workloads, framing)
        redactor = redactors(workloads)
        self._curators = {
            name: GroupCurator(workload, redactor[name], settings.workloads_dir) for name, workload in workloads.items()
        }
        self._states: dict[int, PartitionState] = {}
        self._gold = gold or partial(gold_texts, settings, framing)

    def assign(self, partition: int, reader: Reader) -> None:
        """Rebuild the partition's state from `curated`."""
        self._states[partition] = PartitionState.rebuilt(partition, reader, self._workloads, self._framing)

    def revoke(self, partition: int) -> None:
        """Forget the partition's state."""
        self._states.pop(partition, None)

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Curate a batch; in a thread, so that probes and the other stages go on."""
        return await asyncio.to_thread(self._process, messages)

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Return the dead letter of a message that our own code fails on."""
        return Settlement([self._intake.given_up(message, failed(error), attempts)])

    async def tick(self, now: datetime) -> dict[int, Settlement]:
        """Ask the anchors of each workload again whose next round has begun.

        Raises:
            ContractError: `gold` is missing.
            Unavailable: it cannot be read now.
        """
        due: dict[int, dict[str, datetime]] = {}
        for name, workload in self._workloads.items():
            partition = partition_of(name, PARTITIONS)
            state = self._states.get(partition)
            begun = state and anchors.due(workload.triggers, now, state.rounds.get(name))
            if begun:
                due.setdefault(partition, {})[name] = begun
        return {partition: await self._rounds(partition, begun) for partition, begun in due.items()}

    async def _rounds(self, partition: int, begun: Mapping[str, datetime]) -> Settlement:
        """Return the anchors of the rounds (by workload) that have begun; none where people labelled no text."""
        state = self._states[partition]
        outputs = [
            Output(CURATED, partition, name, anchors.asked(name, anchor, at))
            for name, at in begun.items()
            for anchor in await asyncio.to_thread(self._anchors, self._workloads[name])
        ]
        return Settlement(outputs, committed=lambda: state.rounds.update(begun))

    def _anchors(self, workload: Workload) -> list[GoldText]:
        return anchors.chosen(workload, self._gold(workload.name))

    def _process(self, messages: Sequence[Message]) -> Settlement:
        taken: list[Candidate | Output] = [self._intake.take(message) for message in messages]
        groups: dict[str, list[int]] = {}  # a workload has one partition, whose order its messages keep
        for place, one in enumerate(taken):
            if isinstance(one, Candidate):
                groups.setdefault(one.record.workload, []).append(place)
        views: list[WorkloadOverlay] = []
        for name, places in groups.items():
            candidates = [one for place in places if isinstance(one := taken[place], Candidate)]
            state = self._states.setdefault(candidates[0].message.partition, PartitionState(self._workloads))
            outputs, view = self._curators[name].curate(candidates, state)
            views.append(view)
            for place, output in zip(places, outputs, strict=True):
                taken[place] = output

        def merge() -> None:
            for view in views:
                view.merge()

        return Settlement([one for one in taken if not isinstance(one, Candidate)], committed=merge)
