"""The teachers of all workloads, and which way a record's questions go to its own: call by call, or in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from schemas.workload import Workload
from streams.label.metrics import BATCHES, IN_BATCHES, PAUSED
from streams.label.teacher.batches.client import BatchTeacher
from streams.label.teacher.budget import TeacherBudget
from streams.label.teacher.client import Asks, TeacherClient
from streams.label.triage import Item


class Teachers:
    """One client per workload, and one for its batches."""

    def __init__(self, workloads: Mapping[str, Workload], allowed_hosts: Sequence[str]) -> None:
        """Check what can be checked without a call.

        Raises:
            SettingsError: a URL is not allowed, or a key is not set.
        """
        self._live = {name: TeacherClient(each, allowed_hosts) for name, each in workloads.items()}
        self._batches = {
            name: BatchTeacher(each, self._live[name])
            for name, each in workloads.items()
            if each.teacher.batch.after_hours is not None
        }
        for name in workloads:  # before anything happens the board shows 0, not nothing
            for gauge in (PAUSED, BATCHES, IN_BATCHES):
                gauge.labels(name).set(0)

    def of(self, item: Item) -> Asks:
        """Return the way for all questions of a record, so that they have one price."""
        name = item.workload.name
        return self._batches[name].of(item.record.record_id) if item.batched else self._live[name]

    def live(self, name: str) -> TeacherClient:
        """Return the client that asks a workload's teacher call by call."""
        return self._live[name]

    def budgets(self, names: Iterable[str]) -> dict[str, TeacherBudget]:
        """Return the budgets of workloads."""
        return {name: self._live[name].budget for name in names}

    def is_now(self, name: str, model: str | None) -> bool:
        """Return whether a label's model is the workload's current teacher."""
        return self._live[name].is_now(model)

    def paused(self) -> set[str]:
        """Return the workloads that can ask nothing for a while."""
        return {name for name, teacher in self._live.items() if teacher.paused()}

    def forget(self, names: Iterable[str]) -> None:
        """Drop the batches of workloads whose partition moved to another worker."""
        for name in self._batches.keys() & set(names):
            self._batches[name].batches.forget()

    async def close(self) -> None:
        """Close the connections; batches go on at their endpoint."""
        await asyncio.gather(*(each.batches.close() for each in self._batches.values()))
        await asyncio.gather(*(each.close() for each in self._live.values()))
