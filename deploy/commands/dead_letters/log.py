"""Reads topics by place: the letters, and the records at and after an origin. Read_committed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from deploy.commands.dead_letters.letters import Letter
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_partition
from schemas.errors import BadInput, ContractError, RecordRejected
from schemas.principals import Principal
from schemas.records import DeadLetter
from schemas.rules.places import PartitionOffset
from schemas.topics import DEAD_LETTERS, PARTITIONS, Topic


class Log:
    """The topics of one prefix."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._framing = settings, Framing(settings)

    def letters(self) -> Iterator[Letter]:
        """Yield every letter that is kept, partition by partition.

        Raises:
            ContractError: the topic is missing, or holds what is no dead letter.
            Unavailable: the cluster does not answer.
        """
        for partition in range(PARTITIONS):
            for raw in self.read(DEAD_LETTERS, partition):
                yield self._letter(raw)

    def letter(self, place: PartitionOffset) -> Letter:
        """Return the letter at a place.

        Raises:
            BadInput: there is none.
        """
        partition, offset = place
        if partition < PARTITIONS:
            for raw in self.read(DEAD_LETTERS, partition, offset, offset + 1):
                return self._letter(raw)
        raise BadInput(
            "PARTITION:OFFSET",
            f"{partition}:{offset}",
            "there is no letter; `millrace dead-letters list` shows those kept",
        )

    def read(self, topic: Topic, partition: int, start: int = 0, end: int | None = None) -> Iterator[Any]:
        """Yield the messages of a partition from `start`, or the first kept, to below `end`, or the current end.

        Raises:
            ContractError: the topic is missing.
            Unavailable: the cluster does not answer.
        """
        yield from read_partition(self._settings, Principal.DEAD_LETTERS, topic, partition, start, end)

    def _letter(self, raw: Any) -> Letter:
        try:
            record = self._framing.decode(DeadLetter, raw.value() or b"")
        except RecordRejected as error:
            where = f"{DEAD_LETTERS.name}/{raw.partition()} at offset {raw.offset()}"
            raise ContractError(f"{where} is no dead letter that is known here: {error.detail}") from error
        return Letter((raw.partition(), raw.offset()), datetime.fromtimestamp(raw.timestamp()[1] / 1000, UTC), record)
