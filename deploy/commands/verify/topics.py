"""Reads topics for `millrace verify`: fastavro and the `.avsc` files only, nothing of what the worker writes with.

Committed group offsets come first, then each output topic up to the read_uncommitted mark taken after them, read
read_committed: whatever was committed for an input below its offset lies below that mark.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, cast

import fastavro
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]
from fastavro.schema import fingerprint, to_parsing_canonical_form

from deploy.edge.process.guarded_http import ask
from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.command_clients import settled
from schemas.errors import ContractError, Unavailable
from schemas.principals import Principal, TopicAccess
from schemas.topics import CATALOGUE

_SECONDS: Final = 15.0
_READ: Final = 2_000
_TURN_SECONDS: Final = 0.1  # a turn that brings fewer than _READ waits for all of it

_CATALOGUE: Final = {topic.name: topic for topic in CATALOGUE}


@dataclass(frozen=True)
class Raw:
    """One record as a topic holds it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    appended_ms: int  # by the broker's clock


class PrefixedTopics:
    """The topics and groups of one prefix."""

    def __init__(self, settings: Settings, reader: Principal) -> None:
        """Ask the cluster for a first answer.

        Raises:
            Unavailable: there is none.
        """
        self._settings, self._reader = settings, reader
        self._names = TopicNames(settings, reader, TopicAccess.READ)
        self._admin = command_clients.admin(settings)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return a group's offsets in a topic by partition; none where it never began.

        Raises:
            Unavailable: the cluster does not answer.
            ContractError: the topic is not there.
        """
        topic, group = self._name(topic), f"{self._settings.topic_prefix}{group}"
        places = [TopicPartition(topic, partition) for partition in self._partitions(topic)]
        asked = ConsumerGroupTopicPartitions(group, places)
        answers = settled(
            lambda: self._admin.list_consumer_group_offsets([asked], request_timeout=_SECONDS, require_stable=True)[
                group
            ].result(2 * _SECONDS)
        ).topic_partitions
        return {answer.partition: answer.offset for answer in answers if answer.offset >= 0}

    def marks(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return where each partition begins, and its read_uncommitted end."""
        consumer, topic = command_clients.consumer(self._settings, self._reader, "read_uncommitted"), self._name(topic)
        try:
            return {partition: self._mark(consumer, topic, partition) for partition in self._partitions(topic)}
        finally:
            consumer.close()

    def read(self, topic: str, marks: Mapping[int, tuple[int, int]]) -> Iterator[Raw]:
        """Yield the committed records of a topic from where the marks begin to where they end."""
        open_ = {partition for partition, (low, high) in marks.items() if low < high}
        if not open_:
            return
        consumer = command_clients.consumer(self._settings, self._reader)
        # What retention takes in the meantime is passed over: auto.offset.reset leads to what is left.
        consumer.assign([TopicPartition(self._name(topic), partition, marks[partition][0]) for partition in open_])
        try:
            while open_:
                for raw in consumer.consume(_READ, _TURN_SECONDS):
                    error = raw.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                        raise Unavailable(f"{topic}: {error.str()}")
                    partition, offset = cast("int", raw.partition()), cast("int", raw.offset())
                    if offset >= marks[partition][1]:
                        open_.discard(partition)
                    elif error is None:
                        headers = cast("Any", tuple(raw.headers() or ()))
                        yield Raw(partition, offset, raw.key(), raw.value(), headers, raw.timestamp()[1])
        finally:
            consumer.close()

    def offset_at(self, topic: str, partition: int, appended_ms: int) -> int | None:
        """Return the first offset that was appended then or later; None where there is none."""
        consumer = command_clients.consumer(self._settings, self._reader, "read_uncommitted")
        try:
            (found,) = consumer.offsets_for_times([TopicPartition(self._name(topic), partition, appended_ms)], _SECONDS)
        finally:
            consumer.close()
        return found.offset if found.offset >= 0 else None

    def retention_ms(self, topic: str) -> int | None:
        """Return for how long the broker keeps a topic's records; None where it does so for ever."""
        resource = ConfigResource(ResourceType.TOPIC, self._name(topic))
        found = self._admin.describe_configs([resource], request_timeout=_SECONDS)[resource].result(2 * _SECONDS)
        kept = int(found["retention.ms"].value)
        return None if kept < 0 else kept

    def _mark(self, consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
        return settled(lambda: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_SECONDS))

    def _name(self, topic: str) -> str:
        return self._names[_CATALOGUE[topic]]

    def _partitions(self, topic: str) -> list[int]:
        known = self._admin.list_topics(topic, timeout=_SECONDS).topics[topic]
        if known.error is not None:
            raise ContractError(f"{topic}: {known.error.str()}: run `millrace topics apply`")
        return sorted(known.partitions)


class TopicDecoder:
    """Decodes the values of one topic by the schemas that ever landed for its record."""

    def __init__(self, record: str, settings: Settings) -> None:
        root = resources.files("schemas").joinpath("avsc")
        files = [root.joinpath(f"{record}.avsc")]
        files += [version.joinpath(f"{record}.avsc") for version in root.joinpath("landed").iterdir()]
        sources = [json.loads(file.read_text()) for file in files if file.is_file()]
        self._schemas = {
            b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(source), "CRC-64-AVRO")):
            fastavro.parse_schema(source) for source in sources
        }  # fmt: skip
        self._settings, self._by_id = settings, dict[int, Any]()
        self._record = record

    def decode(self, value: bytes) -> dict[str, Any]:
        """Return the fields of a value.

        Raises:
            ContractError: the value is in no schema that is known here.
            Unavailable: the schema registry does not answer.
        """
        schema: Any
        if value[:1] == b"\x00":
            schema, body = self._schema_of_id(int.from_bytes(value[1:5], "big")), value[5:]
        else:
            schema, body = self._schemas.get(value[:10]), value[10:]
        if schema is None:
            raise ContractError(f"a {self._record} is written in a schema that is not known here ({value[:10].hex()})")
        return cast("dict[str, Any]", fastavro.schemaless_reader(io.BytesIO(body), schema, None))

    def _schema_of_id(self, schema_id: int) -> Any:
        """Return the schema that the registry has under an id, None where it has none; each is asked for once."""
        url, allowed = self._settings.registry_url, self._settings.allowed_hosts
        if url is not None and schema_id not in self._by_id:
            try:
                status, answer = ask("GET", f"{url.rstrip('/')}/schemas/ids/{schema_id}", allowed,
                                     timeout_seconds=_SECONDS, headers={})  # fmt: skip
            except OSError as error:
                raise Unavailable(f"MILLRACE_REGISTRY_URL: no answer: {error}") from error
            if status not in (200, 404):
                raise Unavailable(f"MILLRACE_REGISTRY_URL: status {status} for the schema {schema_id}")
            source = json.loads(json.loads(answer)["schema"]) if status == 200 else None
            self._by_id[schema_id] = source and fastavro.parse_schema(source)
        return self._by_id.get(schema_id)
