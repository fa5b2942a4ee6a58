"""Writes the records of letters once more: their own bytes, key and headers, and one header of ours.

The order that must hold:
  1 `Replays` takes the one transactional id of all replays: an earlier replay can write nothing more
  2 `look` finds the origins, and the replays of them there are: nobody else can add one from here on
  3 `send` reads the origins again and writes them, in lots, each lot in one transaction
So two people who replay the same letters at once write each record once. A letter's own bytes are redacted and never
written anywhere; what is written is read from the origin and goes back to the topic and partition it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from confluent_kafka import KafkaException

from deploy.commands.dead_letters.letters import Letter
from deploy.commands.dead_letters.log import Log
from deploy.commands.dead_letters.plan import TOPICS, OriginState, origin_of
from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.writing import transactional_id
from schemas.errors import Unavailable
from schemas.principals import Principal, TopicAccess
from schemas.rules.places import REPLAYED_HEADER, PartitionOffset, TopicOffset, place_header, replayed_from

_LOT: Final = 100  # records per transaction: at most 100 MB wait in memory
_NEAR: Final = 2_000  # offsets: origins this close together are read in one go
_SECONDS: Final = 30.0
_OVERHEAD_BYTES: Final = 512  # of a record in its batch, and of our header


def look(log: Log, letters: Iterable[Letter]) -> dict[TopicOffset, OriginState]:
    """Return the state of each letter's origin. Reads its partition to the end: replays come later."""
    found: dict[TopicOffset, OriginState] = {}
    for (topic, partition), group in groupby(sorted(map(origin_of, letters)), itemgetter(0, 1)):
        offsets = {place[2] for place in group}
        sizes: dict[int, int] = {}
        replays: dict[int, list[PartitionOffset]] = {}
        for raw in log.read(TOPICS[topic], partition, min(offsets)) if topic in TOPICS else ():
            if raw.offset() in offsets:
                sizes[raw.offset()] = _bytes(raw)
            before = replayed_from(raw.headers() or ())
            if before is not None and before[0] == partition and before[1] in offsets:
                replays.setdefault(before[1], []).append((partition, raw.offset()))
        for offset in offsets:
            found[topic, partition, offset] = OriginState(sizes.get(offset), tuple(replays.get(offset, ())))
    return found


class Replays:
    """The only writer of replays: a later one takes over, and what this one then sends is refused."""

    def __init__(self, settings: Settings) -> None:
        """Take over.

        Raises:
            Unavailable: the cluster does not answer.
        """
        self._names = TopicNames(settings, Principal.DEAD_LETTERS, TopicAccess.WRITE)
        self._producer = command_clients.producer(
            settings, transactional_id=transactional_id(settings, Principal.DEAD_LETTERS)
        )
        try:
            self._producer.init_transactions(_SECONDS)
        except KafkaException as error:
            raise Unavailable(f"the cluster does not let replays begin: {error.args[0].str()}") from error

    def send(self, log: Log, letters: Sequence[Letter]) -> Iterator[tuple[Letter, TopicOffset | None]]:
        """Write the letters' records again; yield each letter, once its lot is committed, with the new place.

        None instead of a place: the origin was deleted meanwhile.

        Raises:
            Unavailable: a lot is not known to be committed; those yielded before are done. To run the command again is
                safe: it looks for what was written.
        """
        ordered = sorted(letters, key=origin_of)
        for _, group in groupby(ordered, key=lambda letter: origin_of(letter)[:2]):
            of_partition = list(group)
            for start in range(0, len(of_partition), _LOT):
                lot = of_partition[start : start + _LOT]
                written = self._write(list(_originals(log, lot)))
                for letter in lot:
                    topic, partition, offset = origin_of(letter)
                    new = written.get(offset)
                    yield letter, None if new is None else (topic, partition, new)

    def _write(self, originals: Sequence[tuple[TopicOffset, Any]]) -> dict[int, int]:
        """Write one partition's records in one transaction; return the new offset of each by the old one."""
        written: dict[int, int] = {}
        failed: list[str] = []
        try:
            self._producer.begin_transaction()
            for (topic, partition, offset), raw in originals:

                def delivered(error: Any, message: Any, of: int = offset) -> None:
                    if error is None:
                        written[of] = message.offset()
                    else:
                        failed.append(error.str())

                headers = [*(raw.headers() or ()), (REPLAYED_HEADER, place_header(partition, offset))]
                name = self._names[TOPICS[topic]]
                self._producer.produce(name, raw.value(), raw.key(), partition, headers=headers, on_delivery=delivered)
            left = self._producer.flush(_SECONDS)
            if failed or left:
                self._producer.abort_transaction(_SECONDS)
                raise Unavailable(f"{len(failed) + left} records were not taken: {(failed or ['no answer'])[0]}")
            self._producer.commit_transaction(_SECONDS)
        except (KafkaException, SystemError) as error:  # a fatal error ends a delivery callback as a SystemError
            cause = error if isinstance(error, KafkaException) else error.__cause__
            reason = f"{cause} (does somebody else replay?); run it again: what was written is found and left alone"
            raise Unavailable(reason) from error
        return written


def _originals(log: Log, lot: Sequence[Letter]) -> Iterator[tuple[TopicOffset, Any]]:
    """Yield the origins of one partition's letters, in order; long gaps between them are not read."""
    topic, partition, _ = origin_of(lot[0])
    runs: list[list[int]] = []
    for offset in (origin_of(letter)[2] for letter in lot):
        if runs and offset - runs[-1][-1] <= _NEAR:
            runs[-1].append(offset)
        else:
            runs.append([offset])
    for run in runs:
        wanted = set(run)
        for raw in log.read(TOPICS[topic], partition, run[0], run[-1] + 1):
            if raw.offset() in wanted:
                yield (topic, partition, raw.offset()), raw


def _bytes(raw: Any) -> int:
    """Return the size of a record with the header that a replay adds."""
    headers = sum(len(name) + len(value or b"") for name, value in raw.headers() or ())
    return len(raw.key() or b"") + len(raw.value() or b"") + headers + _OVERHEAD_BYTES
