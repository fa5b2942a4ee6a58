"""The duplicates of each cluster, counted once a run and kept in its folder, where the recipe finds them.

The recipe speaks to no broker, and `discarded` forgets after 14 days: what is counted at a run's start stays with it,
so that a second attempt gives the same figures. Votes that were labelled stand on `labels`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from itertools import chain, takewhile
from pathlib import Path

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_records
from schemas.principals import Principal
from schemas.records import DiscardedRecord, LabelRecord
from schemas.rules.multiplicity import duplicates_of
from schemas.topics import DISCARDED, LABELS
from trainers.launchers.protocol import DUPLICATES


class ClusterSizes:
    """Counts in a thread, beside the dispatcher's loop: millions of records take minutes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._under_way: dict[Path, asyncio.Task[None]] = {}
        self._stopping = threading.Event()

    def counted(self, folder: Path, workload: str) -> bool:
        """Return whether a run's folder holds the counts; where it does not, begin to count.

        Raises:
            Unavailable, ContractError: as the cluster answers.
        """
        if (folder / DUPLICATES).exists():
            return True
        task = self._under_way.get(folder)
        if task is None:
            self._under_way[folder] = asyncio.create_task(asyncio.to_thread(self._count, folder, workload))
        elif task.done():
            del self._under_way[folder]
            task.result()
        return False

    def stop(self) -> None:
        """End the counting: what is not whole is not kept."""
        self._stopping.set()

    def _count(self, folder: Path, workload: str) -> None:
        framing, reader = Framing(self._settings), Principal.DISPATCHER
        records: Iterator[DiscardedRecord | LabelRecord] = chain(
            read_records(self._settings, reader, framing, DISCARDED, DiscardedRecord, workload),
            read_records(self._settings, reader, framing, LABELS, LabelRecord, workload),
        )
        found = duplicates_of(takewhile(lambda _: not self._stopping.is_set(), records))
        if not self._stopping.is_set():
            whole = folder / f".{DUPLICATES}"
            whole.write_text(json.dumps(found), encoding="utf-8")
            whole.rename(folder / DUPLICATES)
