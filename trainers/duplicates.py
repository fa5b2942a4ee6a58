"""The duplicates of each cluster, counted once a run and kept in its folder, where the recipe finds them.

The recipe speaks to no broker, and `discarded` forgets after 14 days: what is counted at a run's start stays with it,
so that a second attempt gives the same figures.
"""

from __future__ import annotations

import asyncio
import json
import threading
from itertools import takewhile
from pathlib import Path

from deploy.edge.framing import Framing
from deploy.edge.partitions import read_records
from deploy.edge.settings import Settings
from schemas.records import DiscardedRecord
from schemas.rules.multiplicity import duplicates_of
from schemas.topics import DISCARDED
from trainers.launchers.protocol import DUPLICATES


class Duplicates:
    """Counts in a thread, beside the dispatcher's loop: millions of records take minutes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._under_way: dict[Path, asyncio.Task[None]] = {}
        self._stopping = threading.Event()

    def counted(self, folder: Path, workload: str) -> bool:
        """Tell whether a run's folder holds the counts; where it does not, begin to count.

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
        records = read_records(
            self._settings, "dispatcher-duplicates", Framing(self._settings), DISCARDED, DiscardedRecord, workload
        )
        found = duplicates_of(takewhile(lambda _: not self._stopping.is_set(), records))
        if not self._stopping.is_set():
            whole = folder / f".{DUPLICATES}"
            whole.write_text(json.dumps(found), encoding="utf-8")
            whole.rename(folder / DUPLICATES)
