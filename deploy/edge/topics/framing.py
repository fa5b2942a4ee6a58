"""Our records on topics, as bytes: the one home of the question whether there is a schema registry, and what it said.

Without a registry records are written as single objects; with one in Confluent framing, under the id the registry
gives the topic's schema. Both framings are read. An id never changes its meaning, so each is asked for once and kept.
An id the registry does not know may be on its way to it: it is `NotYetKnown` for some seconds, then the record that
names it is rejected, so that garbage that happens to begin with a zero byte cannot hold a partition up for long.

Everything here blocks while the registry is asked: in an event loop, call `learn` in a thread before decoding.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Final, TypeVar

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import topic_name
from deploy.edge.topics.registry import Registry
from schemas import codec
from schemas.errors import DeadLetterReason, RecordRejected, Unavailable
from schemas.records import Record
from schemas.topics import Topic

PATIENCE_SECONDS: Final = 3.0  # a registry's replicas are behind for less
AGAIN_SECONDS: Final = 60.0  # before an id that was given up is asked for again
_GIVEN_UP: Final = 10_000  # ids that are remembered: several of the largest batches of nothing but garbage

R = TypeVar("R", bound=Record)


class NotYetKnown(Unavailable):
    """The registry knows no schema under an id; it may soon."""


class Framing:
    """Encodes and decodes the records on our topics."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Use the registry that the settings name; without settings or registry: single objects.

        Raises:
            SettingsError: the registry's address can never be reached.
        """
        self._settings = settings
        self._registry: Registry | None = None
        if settings is not None and settings.registry_url:
            self._registry = Registry(settings.registry_url, settings.allowed_hosts)
        self._ids: dict[Topic, int] = {}
        self._schemas: dict[int, str] = {}
        self._missing: dict[int, tuple[float, float]] = {}  # id -> when it was first missing, when to ask again
        self._asking = threading.Lock()

    @property
    def asks(self) -> bool:
        """Return whether there is a registry, so that decoding may have to ask it."""
        return self._registry is not None

    def register(self, topics: Iterable[Topic]) -> None:
        """Learn the ids of all that a process writes, before its first record.

        Raises:
            Unavailable: the registry does not answer.
            ContractError: it refuses a schema.
        """
        if self._registry is not None:
            for topic in topics:
                self._id_of(self._registry, topic)

    def encode(self, topic: Topic, record: Record) -> bytes:
        """Encode a record of a topic.

        Raises:
            Unavailable: the topic's schema was not registered yet, and the registry does not answer.
            ContractError: the registry refuses the schema.
        """
        return codec.encode(record, None if self._registry is None else self._id_of(self._registry, topic))

    def reframed(self, topic: Topic, value: bytes) -> bytes:
        """Return a single object of the topic's current schema in the registry's framing, anything else unchanged.

        Raises:
            Unavailable, ContractError: as `encode`.
        """
        header = codec.writer_schema(topic.record).header
        if self._registry is None or not value.startswith(header):
            return value
        return codec.confluent_header(self._id_of(self._registry, topic)) + value[len(header) :]

    def decode(self, record: type[R], value: bytes) -> R:
        """Decode a value in either framing.

        Raises:
            RecordRejected: it cannot be read, or the registry does not come to know its schema.
            Unavailable: the registry does not answer, or does not know the schema yet.
        """
        return codec.decode(record, value, None if self._registry is None else self._schema_of_id)

    def learn(self, values: Iterable[bytes | None]) -> None:
        """Fetch the schemas that values name, so that decoding them asks nothing.

        Raises:
            Unavailable: the registry does not answer, or does not know one of the schemas yet.
        """
        if self._registry is None:
            return
        waiting: NotYetKnown | None = None
        for schema_id in {found for value in values if value and (found := codec.confluent_id(value)) is not None}:
            try:
                self._schema_of_id(schema_id)
            except NotYetKnown as error:
                waiting = error  # the others are asked for all the same: they wait at the same time, not in turn
            except RecordRejected:
                continue
        if waiting is not None:
            raise waiting

    def _id_of(self, registry: Registry, topic: Topic) -> int:
        found = self._ids.get(topic)
        if found is None:
            assert self._settings is not None  # noqa: S101 - they name the registry
            with self._asking:
                found = registry.register(topic_name(self._settings, topic), topic.record)
                self._ids[topic] = found
                self._schemas[found] = codec.writer_schema(topic.record).source
        return found

    def _schema_of_id(self, schema_id: int) -> str:
        assert self._registry is not None  # noqa: S101 - only then is an id asked for
        found = self._schemas.get(schema_id)
        if found is not None:
            return found
        with self._asking:
            now = time.monotonic()
            since, again = self._missing.get(schema_id, (now, now))
            found = None if now < again else self._registry.schema_of_id(schema_id)
            if found is not None:
                self._missing.pop(schema_id, None)
                self._schemas[schema_id] = found
                return found
            waits = now - since < PATIENCE_SECONDS
            if now >= again:
                self._missing[schema_id] = (since, now if waits else now + AGAIN_SECONDS)
            if len(self._missing) > _GIVEN_UP:
                del self._missing[next(iter(self._missing))]
        if waits:
            raise NotYetKnown(f"the schema registry does not know the id {schema_id} yet")
        raise RecordRejected(DeadLetterReason.BAD_SCHEMA, f"the schema registry knows no schema {schema_id}")


SINGLE_OBJECTS: Final = Framing()  # of a process, or a test, without a registry
