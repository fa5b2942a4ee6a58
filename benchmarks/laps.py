"""One contender's turn, alone on the machine: fill the topics, start it, time from its first output to its last."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.contenders import MILLRACE, Contender, Running, running
from benchmarks.ground import Ground, fill
from benchmarks.outcomes import Seen, reading
from benchmarks.peers.curation import ENDINGS
from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import group_name
from deploy.trial.simulate.forms import Wire
from schemas.errors import BadInput
from schemas.topics import CURATED, PARTITIONS

_JOIN_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Lap:
    """What a turn came to."""

    records_per_second: float
    cpu_us: float  # of the contender's processes, per record
    endings: Counter[str] = field(default_factory=Counter)
    digests: frozenset[bytes] = frozenset()  # a digest of each ending; none where bytes were passed through


def lap(
    ground: Ground, contender: Contender, wires: Sequence[Wire], *, workloads: int = 1, passing: bool = False
) -> Lap:
    """Run a contender over records that are there before it starts.

    Its start costs nothing: the clock and the CPU time run from the first outputs, and what is committed by then, such
    as the worker's whole first batch, does not count.
    """
    with ground.laid(workloads) as settings:
        fill(settings, wires)
        topics = (CURATED,) if passing else ENDINGS
        with reading(settings, topics) as outcomes, running(contender, settings, passing=passing) as processes:
            wait = outcomes.counted if passing else outcomes.seen
            wait(1, processes[0].check)
            before, first = processes[0].cpu_seconds(), outcomes.committed()
            last = wait(len(wires), processes[0].check)
            cpu = processes[0].cpu_seconds() - before
            processes[0].stop()
            digests = frozenset() if passing else outcomes.digests()
            return _timed(first, last, cpu, outcomes.counts(), digests)


def crowd(ground: Ground, workers: int, wires: Sequence[Wire], workloads: int) -> Lap:
    """Run so many workers, each with its share of the partitions before the records appear, all at one moment."""
    with ground.laid(workloads) as settings, reading(settings, ENDINGS) as outcomes:
        with running(MILLRACE, settings, workers) as processes:
            _await_shares(settings, processes)
            fill(settings, wires, at_once=True)
            outcomes.seen(1, processes[0].check)
            before, first = [process.cpu_seconds() for process in processes], outcomes.committed()
            last = outcomes.seen(len(wires), processes[0].check)
            cpu = sum(process.cpu_seconds() for process in processes) - sum(before)
        return _timed(first, last, cpu, outcomes.counts(), frozenset())


def _timed(first: Seen, last: Seen, cpu_seconds: float, endings: Counter[str], digests: frozenset[bytes]) -> Lap:
    """Return what a lap came to between two moments.

    Raises:
        BadInput: there is nothing between them.
    """
    records = last.count - first.count
    if records <= 0:
        raise BadInput("records", last.count, "were committed all at once; give more than a few batches")
    return Lap(records / (last.at - first.at), cpu_seconds / records * 1e6, endings, digests)


def _await_shares(settings: Settings, processes: Sequence[Running]) -> None:
    """Wait until the group's partitions are shared out evenly."""
    admin = command_clients.admin(settings)
    name, share = group_name(settings, "curate"), PARTITIONS // len(processes)
    deadline = time.monotonic() + _JOIN_SECONDS
    while [share] * len(processes) != _shares(admin, name):
        for process in processes:
            process.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(processes)} workers do not share the partitions evenly: {_shares(admin, name)}")
        time.sleep(0.1)


def _shares(admin: Any, group: str) -> list[int]:
    described = admin.describe_consumer_groups([group])[group].result(10)
    return [len(member.assignment.topic_partitions) for member in described.members]
