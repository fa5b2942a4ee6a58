"""A worker that kills itself: `millrace worker`, which gets SIGKILL at a chosen moment of a chosen piece of work.

    python -m tests.faults.killed STAGE MOMENT NUMBER --stages curate

NUMBER counts the stage's transactions that carry outputs, or its snapshots; offsets alone are nothing to double. Just
before the signal one line goes to standard error: the proof of what the fault hit.
"""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace
from typing import Any, Final

import pyarrow.parquet as pq
from confluent_kafka import Producer

from streams.__main__ import main
from streams.core import transaction

TRANSACTION_MOMENTS: Final = ("before-produce", "before-commit", "after-commit")
SNAPSHOT_MOMENTS: Final = ("before-snapshot", "half-snapshot", "after-snapshot")


def die(what: str) -> None:
    """Say what was in work, and be killed."""
    print(f"killed with process {os.getpid()}: {what}", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


class DoomedProducer(Producer):
    """The transactional producer of every stage; one stage's kills the process."""

    stage, moment, number = "", "", 0

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._doomed = f"millrace-{self.stage}-" in config["transactional.id"]
        self._outputs = 0  # of the transaction that is open
        self._seen = 0  # transactions that carried outputs

    def begin_transaction(self) -> None:
        self._outputs = 0
        super().begin_transaction()

    def produce_batch(self, topic: str, messages: list[dict[str, Any]], *arguments: Any, **options: Any) -> int:
        self._carries(len(messages))
        return super().produce_batch(topic, messages, *arguments, **options)

    def produce(self, *arguments: Any, **options: Any) -> None:
        self._carries(1)
        super().produce(*arguments, **options)

    def commit_transaction(self, *arguments: Any) -> None:
        if self._outputs and self._due("before-commit"):
            left = self.flush(10.0)  # commit would flush first: now the broker has the outputs, uncommitted
            die(f"{self._where()}, {self._outputs} outputs produced ({left} of them still here), offsets sent")
        super().commit_transaction(*arguments)
        if self._outputs and self._due("after-commit"):
            die(f"{self._where()}, {self._outputs} outputs committed, the stage not informed")

    def _carries(self, outputs: int) -> None:
        if self._outputs == 0:
            self._seen += 1
            if self._due("before-produce"):
                die(f"{self._where()}, begun, nothing produced")
        self._outputs += outputs

    def _due(self, moment: str) -> bool:
        return self._doomed and self._seen == self.number and self.moment == moment

    def _where(self) -> str:
        return f"{self.stage}, {self.moment} of transaction {self._seen} with outputs"


def doom_snapshots(moment: str, number: int) -> None:
    """Let the process die before, within or after the writing of a snapshot."""
    from streams.window import snapshot

    write, write_table, seen = snapshot.write, pq.write_table, 0

    def doomed_write(*arguments: Any, **options: Any) -> snapshot.WrittenSnapshot:
        nonlocal seen
        seen += 1
        if seen == number and moment == "before-snapshot":
            die(f"window, before snapshot {seen}")
        taken = write(*arguments, **options)
        if seen == number and moment == "after-snapshot":
            die(f"window, after snapshot {taken.manifest.snapshot_id} was written, no request made")
        return taken

    def doomed_table(*arguments: Any, **options: Any) -> None:
        write_table(*arguments, **options)
        if seen == number and moment == "half-snapshot":
            die(f"window, within snapshot {seen}: rows written, no manifest, no name")

    vars(snapshot).update(write=doomed_write, pq=SimpleNamespace(write_table=doomed_table))


if __name__ == "__main__":
    stage, moment, number = sys.argv[1:4]
    if moment in SNAPSHOT_MOMENTS:
        doom_snapshots(moment, int(number))
    else:
        DoomedProducer.stage, DoomedProducer.moment, DoomedProducer.number = stage, moment, int(number)
        vars(transaction)["Producer"] = DoomedProducer
    main(sys.argv[4:])
