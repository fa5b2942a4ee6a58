"""The first steps of curate, each record by itself: decode it, check place, size and time, find the text to judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.edge.topics.framing import Framing
from schemas import ids
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.records import TrafficRecord
from schemas.rules import chat
from schemas.rules.partition import partition_of
from schemas.rules.places import REKEYED_HEADER, first_place, place_header
from schemas.topics import PARTITIONS, TRAFFIC
from schemas.workload import Workload
from streams.core.dead_letter import dead_letter
from streams.core.stage import Message, Output
from streams.curate.decode import decode_traffic
from streams.curate.discards import ineligible
from streams.curate.redaction import redacted_payload
from streams.curate.validate import check_exchange, check_time, find_text


@dataclass(slots=True)
class Candidate:
    """A record with a text to judge, as it was sent."""

    message: Message
    record: TrafficRecord
    record_id: str
    text: str
    template: str


class Intake:
    """Sorts messages: a candidate goes on; what cannot be curated ends here."""

    def __init__(self, workloads: Mapping[str, Workload], framing: Framing) -> None:
        self._workloads = workloads
        self._framing = framing
        self._templates = {name: chat.template_fingerprint(workload) for name, workload in workloads.items()}
        self._homes = {name: partition_of(name, PARTITIONS) for name in workloads}

    def take(self, message: Message) -> Candidate | Output:
        """Return the candidate in a message, or the output that ends it."""
        record: TrafficRecord | None = None
        try:
            record = decode_traffic(message, self._framing)
            workload = self._workload(record)
            if self._homes[workload.name] != message.partition:
                return _rekeyed(message, record, self._homes[workload.name])
            check_exchange(record, len(message.value or b""), workload.limits)
            check_time(record.event_time, message.appended, workload.limits)
            found = find_text(record, workload, self._templates[workload.name])
        except RecordRejected as rejected:
            return self._ended(message, rejected, record)
        record_id = record_id_of(message, record)
        if isinstance(found, chat.Ineligible):
            return ineligible(message, record_id, record, found.reason)
        return Candidate(message, record, record_id, found.text, found.template)

    def given_up(self, message: Message, rejected: RecordRejected, attempts: int) -> Output:
        """Return the dead letter of a message that our own code failed on."""
        try:
            record = decode_traffic(message, self._framing)
        except Exception:  # noqa: BLE001 - what the stage failed on may fail here too; its dead letter must be written
            record = None
        return self._ended(message, rejected, record, attempts)

    def _ended(
        self, message: Message, rejected: RecordRejected, record: TrafficRecord | None, attempts: int = 1
    ) -> Output:
        """Return a dead letter; where the record cannot be read, its key may name the workload."""
        payload = redacted_payload(message.value or b"", self._framing)
        workload: str | None = None
        record_id: str | None = None
        if record is not None:
            workload = record.workload
            record_id = record_id_of(message, record)
        elif message.key is not None and message.key.decode(errors="replace") in self._workloads:
            workload = message.key.decode()
        return dead_letter(
            message, "curate", rejected, payload, workload=workload, record_id=record_id, attempts=attempts
        )

    def _workload(self, record: TrafficRecord) -> Workload:
        workload = self._workloads.get(record.workload)
        if workload is None:
            raise RecordRejected(DeadLetterReason.UNKNOWN_WORKLOAD, "no workload file has this name")
        return workload


def record_id_of(message: Message, record: TrafficRecord) -> str:
    """Return the record's id; one that was sent on or replayed keeps the id of its first place."""
    return ids.record_id(record.workload, record.id, *first_place(message.headers, message.partition, message.offset))


def _rekeyed(message: Message, record: TrafficRecord, home: int) -> Output:
    """Send a record to its workload's partition, with its place as a header.

    Raises:
        RecordRejected: it was sent on before and is wrong again: partitions must have been added.
    """
    if any(name == REKEYED_HEADER for name, _ in message.headers):
        raise RecordRejected(
            DeadLetterReason.BAD_FIELD, f"on partition {message.partition} instead of {home} after it was sent on once"
        )
    headers = [(name, value) for name, value in message.headers if value is not None]
    headers.append((REKEYED_HEADER, place_header(message.partition, message.offset)))
    return Output(TRAFFIC, home, record.workload, record, tuple(headers))
