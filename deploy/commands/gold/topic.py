"""Gold on its topic: human labels written, and read back beside what the worker wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from deploy.commands.gold.rows import GoldRow
from deploy.edge.privacy.redactor import redactors
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_records
from deploy.edge.topics.writing import transaction
from schemas import ids
from schemas.principals import Principal
from schemas.records import Ceiling, DiscardedRecord, GoldLabel, LabelRecord, Record
from schemas.rules.normalise import normalise, text_key
from schemas.rules.partition import partition_of
from schemas.topics import CEILINGS, DISCARDED, GOLD, LABELS, PARTITIONS, Topic
from schemas.workload import Workload

R = TypeVar("R", bound=Record)


def gold_labels(rows: Sequence[GoldRow], workload: Workload, file: str, time: datetime) -> list[GoldLabel]:
    """Return the records of rows, their texts redacted and normalised as the worker does it.

    Raises:
        SettingsError: the redaction's key is not set, or its model of names is not installed.
    """
    redactor = redactors({workload.name: workload})[workload.name]
    redacted = redactor.redact_all([normalise(row.text) for row in rows], [""] * len(rows))
    return [
        GoldLabel(
            gold_id=ids.digest("gold", workload.name, one.text, row.annotator),
            workload=workload.name,
            text=one.text,
            text_key=text_key(workload.name, one.text),
            label=row.label,
            annotator=row.annotator,
            time=time,
            file=file,
            line=row.line,
        )
        for row, one in zip(rows, redacted, strict=True)
    ]


def write(settings: Settings, found: Sequence[GoldLabel]) -> None:
    """Write records, all or none: in one transaction.

    Raises:
        Unavailable: the cluster did not take them; nothing of the file is stored.
    """
    framing = Framing(settings)
    framing.register([GOLD])
    with transaction(settings, Principal.GOLD) as put:
        for one in found:
            put(GOLD, partition_of(one.workload, PARTITIONS), one.workload.encode(), framing.encode(GOLD, one), ())


class GoldTopics:
    """The records of one workload on the topics."""

    def __init__(self, settings: Settings, workload: str) -> None:
        self._settings = settings
        self._workload = workload
        self._framing = Framing(settings)

    def gold(self) -> Iterator[GoldLabel]:
        """Yield human labels, oldest first."""
        return self._read(GOLD, GoldLabel)

    def labels(self) -> Iterator[LabelRecord]:
        """Yield labels, oldest first."""
        return self._read(LABELS, LabelRecord)

    def discarded(self) -> Iterator[DiscardedRecord]:
        """Yield what ended early, oldest first."""
        return self._read(DISCARDED, DiscardedRecord)

    def ceilings(self) -> Iterator[Ceiling]:
        """Yield how often the teacher agreed with itself, the last measurement last."""
        return self._read(CEILINGS, Ceiling)

    def _read(self, topic: Topic, record: type[R]) -> Iterator[R]:
        return read_records(self._settings, Principal.GOLD, self._framing, topic, record, self._workload)
