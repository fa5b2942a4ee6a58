"""One stage's consumer in its group: which partitions are ours, since when, and what came out of them.

Every method that polls or asks Kafka runs in the stage's one consumer thread, so a rebalance is seen only inside a
call of this class. Each change of hands bumps a partition's ownership epoch; what was consumed under an earlier epoch
is nobody's to settle. A new partition stays paused until its state is rebuilt, a held one until it is let go.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # the package's types lack it

from deploy.edge.topics.clients import TopicNames, group_name, librdkafka
from schemas.errors import ContractError
from schemas.principals import TopicAccess
from streams.core.rebuild import to_message
from streams.core.stage import Message, Stage
from streams.core.transaction import WorkerFailed
from streams.settings import WorkerSettings

SourcePartition = tuple[str, int]  # a topic's name on the cluster, and a partition

_FIRST_SECONDS: Final = 0.5  # to wait for a first record: it is handed over at once
_FILL_SECONDS: Final = 0.02  # to wait for more after a large batch: the next is to be large too
_BUSY_RECORDS: Final = 500  # a commit costs 15-35 ms however many records it settles
_SETTLE_SECONDS: Final = 0.1  # between two polls after an abort: the group is most often on its way to a generation
_FETCH_AGAIN_MS: Final = 5  # after the client's queue was full; at librdkafka's 1,000 it ran dry: 28,000 records/s
_FETCHED_KILOBYTES: Final = 32_768  # that wait in the client at most, and so in a batch
_ANSWER_SECONDS: Final = 5.0
_LAG_SECONDS: Final = 2.0
# librdkafka's own codes start with an underscore.
_BEHIND_RETENTION: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)  # noqa: SLF001
_LATER: Final = (KafkaError._STATE, KafkaError._TIMED_OUT, KafkaError._TRANSPORT)  # noqa: SLF001
_NO_TOPIC: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001

log = logging.getLogger("millrace.worker.membership")


@dataclass(frozen=True, slots=True)
class Taken:
    """Records as consumed, with what fences them: the group's metadata and each partition's epoch of that moment."""

    messages: list[Message]
    metadata: Any
    epochs: dict[SourcePartition, int]


class Membership:
    """The consumer of one stage."""

    def __init__(self, settings: WorkerSettings, stage: Stage) -> None:
        self._settings = settings
        self.group = group_name(settings, stage.name)
        names = TopicNames(settings, stage.name, TopicAccess.CONSUME)
        self._topics = {names[topic]: topic for topic in stage.sources}
        self._names = {topic: name for name, topic in self._topics.items()}
        self._eager = len(self._topics) > 1  # range keeps partition n of all sources together; it revokes all at once
        self.epochs: Counter[SourcePartition] = Counter()
        self._ours: set[SourcePartition] = set()
        self._resting: set[SourcePartition] = set()  # ours, not rebuilt yet
        self._held: set[SourcePartition] = set()  # ours, rebuilt, and not to be fetched for now
        self._gone: set[int] = set()
        self._paused = False
        self._busy = False
        self._consumer: Any = None
        self._admin: Any = None

    def open(self) -> None:
        """Join the group.

        Raises:
            ContractError: a source topic is not there.
        """
        self._consumer = Consumer(
            librdkafka(self._settings)
            | self._protocol()
            | {
                "group.id": self.group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # `earliest` would skip what retention took, silently
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "queued.min.messages": 50_000,
                "fetch.queue.backoff.ms": _FETCH_AGAIN_MS,
                "queued.max.messages.kbytes": _FETCHED_KILOBYTES,
            }
        )
        self._admin = AdminClient(librdkafka(self._settings))
        self._await_topics()
        self._consumer.subscribe(
            list(self._topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def take(self, most: int, *, wait: bool = True, holding: AbstractSet[int] = frozenset()) -> Taken:
        """Consume a batch: one record when little flows, thousands when much does.

        Args:
            most: records at most.
            wait: for a first record; else only what is there already is taken.
            holding: partition numbers of which nothing is fetched for now.
        """
        self._hold(holding)
        before = dict(self.epochs)
        first = self._consumer.poll(_FIRST_SECONDS if wait else 0.0)
        if first is None:
            self._busy = False
            return Taken([], None, {})
        fill_seconds = _FILL_SECONDS if self._busy else 0.0
        more = self._consumer.consume(most - 1, fill_seconds) if most > 1 else []
        self._busy = len(more) >= _BUSY_RECORDS
        return self._taken([first, *more], before)

    def hear_of_rebalance(self) -> Any:
        """Serve the rebalance under way, fetching nothing; return the group's metadata of afterwards."""
        self.pause()
        self.keep_alive()
        time.sleep(_SETTLE_SECONDS)
        self.keep_alive()
        self.resume()
        return self.metadata()

    def keep_alive(self) -> None:
        """Serve rebalances while everything is paused."""
        for raw in self._consumer.consume(100, 0.0):
            if self._sound(raw) and (raw.topic(), raw.partition()) not in self._resting:
                self._consumer.seek(TopicPartition(raw.topic(), raw.partition(), raw.offset()))

    def metadata(self) -> Any:
        """Return the group metadata that fences what is settled with it."""
        return self._consumer.consumer_group_metadata()

    def place(self, message: Message) -> SourcePartition:
        """Return where a message came from."""
        return self._names[message.topic], message.partition

    def owned(self, place: SourcePartition) -> bool:
        """Return whether the partition is ours and rebuilt."""
        return place in self._ours and place not in self._resting

    def epochs_of(self, places: Iterable[SourcePartition]) -> dict[SourcePartition, int]:
        """Return the ownership epochs of partitions as they are now."""
        return {place: self.epochs[place] for place in places}

    def unchanged(self, place: SourcePartition, epochs: Mapping[SourcePartition, int]) -> bool:
        """Return whether the partition is ours as it was under those epochs."""
        return self.owned(place) and self.epochs[place] == epochs[place]

    def last_of_each(self, messages: Sequence[Message]) -> dict[SourcePartition, Message]:
        """Return the last message of each partition."""
        places = len({message.partition for message in messages}) * len(self._topics)
        found: dict[SourcePartition, Message] = {}
        for message in reversed(messages):
            found.setdefault(self.place(message), message)
            if len(found) == places:
                break
        return found

    def ends_of(self, messages: Sequence[Message]) -> dict[SourcePartition, int]:
        """Return, for each partition, the offset after its last message: `position` would give what is prefetched."""
        return {place: last.offset + 1 for place, last in self.last_of_each(messages).items()}

    def ready(self) -> bool:
        """Return whether nothing waits to be rebuilt."""
        return not self._resting

    def places(self, number: int) -> list[SourcePartition]:
        """Return the partitions of one number, over all sources."""
        return [(name, number) for name in self._topics]

    def gone(self) -> set[int]:
        """Return, once, the numbers of the partitions that went elsewhere."""
        gone, self._gone = self._gone, set()
        return gone

    def fresh(self) -> list[int]:
        """Return the numbers that wait to be rebuilt, whole: all sources' partitions of the number are here."""
        numbers = {number for _, number in self._resting}
        return sorted(n for n in numbers if all(place in self._ours for place in self.places(n)))

    def committed(self, places: Iterable[SourcePartition]) -> dict[SourcePartition, int] | None:
        """Return the group's offsets, or None while they do not answer (a transaction over them is still open).

        Raises:
            ContractError: a start offset was never committed.
        """
        asked = [TopicPartition(name, number) for name, number in places]
        try:
            answers = self._consumer.committed(asked, _ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].fatal():
                raise WorkerFailed(error.args[0].str()) from error
            return None
        if any(answer.error for answer in answers):
            return None
        for answer in answers:
            if answer.offset < 0:
                raise ContractError(
                    f"group {self.group} has no start offset in {answer.topic}/{answer.partition}: "
                    "run `millrace topics apply`, which commits it, before the first worker starts"
                )
        return {(answer.topic, answer.partition): answer.offset for answer in answers}

    def start(self, offsets: Mapping[SourcePartition, int]) -> bool:
        """Go on from the offsets: their state is rebuilt. False while the client is not there yet: poll, and ask again.

        A client takes up new partitions only when no rebalance is under way, which polling may have to finish.

        Raises:
            ContractError: retention took records that were not read yet.
        """
        try:
            for (name, number), offset in offsets.items():
                low, _ = self._consumer.get_watermark_offsets(TopicPartition(name, number), timeout=_ANSWER_SECONDS)
                if offset < low:  # the client would report it too, but not for a partition that it fetched while paused
                    raise self._behind_retention(name, number)
                self._consumer.seek(TopicPartition(name, number, offset))
        except KafkaException as error:
            if error.args[0].code() not in _LATER and not error.args[0].retriable():
                raise WorkerFailed(f"{self.group}: cannot seek: {error.args[0].str()}") from error
            return False
        self._resting -= set(offsets)
        if not self._paused:
            self._consumer.resume([TopicPartition(*place) for place in offsets])
        return True

    def pause(self) -> None:
        """Fetch nothing, so that polling can go on while a batch is in work."""
        if not self._paused:
            self._paused = True
            self._consumer.pause([TopicPartition(*place) for place in self._ours])

    def resume(self) -> None:
        """Fetch again what is ours and rebuilt."""
        if self._paused:
            self._paused = False
            self._consumer.resume([TopicPartition(*place) for place in self._ours - self._resting - self._held])

    def lag(self) -> dict[SourcePartition, int]:
        """Return the records not yet consumed, as the broker counts them now.

        One question for all partitions on a connection of its own: on the consumer's each would wait behind a fetch,
        and 24 of them held the window back for 0.7 s every 5 s.
        """
        places = self._ours - self._resting - self._held  # what is held waits on purpose: it is no lag to act on
        if not places:
            return {}
        asked = dict.fromkeys((TopicPartition(*place) for place in places), OffsetSpec.latest())  # type: ignore[no-untyped-call]
        try:
            ends = self._admin.list_offsets(
                asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_LAG_SECONDS
            )
            high = {(place.topic, place.partition): end.result(_LAG_SECONDS).offset for place, end in ends.items()}
            positions = self._consumer.position(list(asked))
        except (KafkaException, TimeoutError) as error:
            cause = error.args[0].str() if isinstance(error, KafkaException) else f"no answer in {_LAG_SECONDS:.0f} s"
            log.warning("%s: lag unknown: %s", self.group, cause)
            return {}
        return {
            place: max(0, high[place] - position.offset)
            for position in positions
            if position.offset >= 0 and (place := (position.topic, position.partition)) in high
        }

    def close(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            self._consumer.close()

    def _hold(self, numbers: AbstractSet[int]) -> None:
        """Fetch nothing of these partitions, and everything of all others that are rebuilt."""
        held = {place for place in self._ours - self._resting if place[1] in numbers}
        if held == self._held:
            return
        let_go, fresh = self._held - held, held - self._held
        self._held = held
        if not self._paused:
            self._consumer.pause([TopicPartition(*place) for place in fresh])
            self._consumer.resume([TopicPartition(*place) for place in let_go & (self._ours - self._resting)])

    def _taken(self, raw: list[Any], before: Mapping[SourcePartition, int]) -> Taken:
        """Return what is sound of consumed records; a rebalance served on the way may have taken some of them."""
        messages: list[Message] = []
        ours: dict[SourcePartition, bool] = {}
        topics = self._topics
        for one in raw:
            if one.error() is not None:
                self._sound(one)
                continue
            place = (name := one.topic(), one.partition())
            if place not in ours:
                ours[place] = self.owned(place) and before.get(place) == self.epochs[place]
            if ours[place]:
                messages.append(to_message(topics[name], one))
        epochs = {place: self.epochs[place] for place, still in ours.items() if still}
        return Taken(messages, self.metadata(), epochs)

    def _protocol(self) -> dict[str, Any]:
        """Return how the group shares partitions out: range keeps partition n of all sources in one worker."""
        if self._settings.group_protocol == "consumer":
            return {"group.protocol": "consumer", "group.remote.assignor": "range" if self._eager else "uniform"}
        return {
            "session.timeout.ms": int(self._settings.session_timeout_seconds * 1000),
            "partition.assignment.strategy": "range" if self._eager else "cooperative-sticky",
        }

    def _sound(self, raw: Any) -> bool:
        error = raw.error()
        if error is None:
            return True
        if (raw.topic(), raw.partition()) in self._resting:
            return False  # not started yet: its place is sought after the rebuild
        if error.code() in _BEHIND_RETENTION:
            raise self._behind_retention(raw.topic(), raw.partition())
        if error.code() in _NO_TOPIC:
            raise ContractError(f"{raw.topic()}: {error.str()}: run `millrace topics apply`")
        if error.fatal():
            raise WorkerFailed(f"{self.group}: {error.name()}: {error.str()}")
        log.warning("%s: %s", self.group, error.str())
        return False

    def _behind_retention(self, topic: str, partition: int) -> ContractError:
        return ContractError(
            f"{topic}/{partition}: retention deleted records before group {self.group} read them; nothing is skipped "
            "silently: see docs/runbook.md, `a group fell behind retention`"
        )

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            partition.offset = 0  # sought after the rebuild; nothing is fetched before
        if self._eager and self._settings.group_protocol == "classic":
            consumer.assign(partitions)
        else:
            consumer.incremental_assign(partitions)
        if partitions:
            consumer.pause(partitions)
        for partition in partitions:
            place = (partition.topic, partition.partition)
            self.epochs[place] += 1
            self._ours.add(place)
            self._resting.add(place)
        log.info("%s: assigned %s", self.group, _numbers(partitions))

    def _revoked(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            place = (partition.topic, partition.partition)
            self.epochs[place] += 1
            self._ours.discard(place)
            self._resting.discard(place)
            self._held.discard(place)
            self._gone.add(partition.partition)
        # Under KIP-848 one source's partition can go before another's: what is left of its number has no state.
        left = {place for place in self._ours - self._resting if place[1] in {gone.partition for gone in partitions}}
        for place in left:
            self.epochs[place] += 1
        if left:
            self._resting |= left
            self._held -= left
            consumer.pause([TopicPartition(*place) for place in left])
        log.info("%s: revoked %s", self.group, _numbers(partitions))

    def _await_topics(self) -> None:
        while True:
            try:
                known = self._consumer.list_topics(timeout=_ANSWER_SECONDS).topics
            except KafkaException as error:
                log.warning(
                    "%s: no broker at %s: %s", self.group, self._settings.bootstrap_servers, error.args[0].str()
                )
                continue
            missing = [name for name in self._topics if name not in known or known[name].error is not None]
            if missing:
                raise ContractError(f"topics are missing: {', '.join(missing)}: run `millrace topics apply`")
            return


def _numbers(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(f"{partition.topic}/{partition.partition}" for partition in partitions) or "nothing"
