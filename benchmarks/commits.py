"""When a stage's offset passed a message: its group's commits, watched from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from confluent_kafka import TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import topic_name
from schemas.principals import Principal
from schemas.topics import Topic

_EVERY_SECONDS: Final = 0.01  # 20 ms more would be a tenth of what is measured
_ANSWER_SECONDS: Final = 10.0
_STALL_SECONDS: Final = 60.0


class Commits:
    """The offsets of one partition as they were seen to rise."""

    def __init__(self, settings: Settings, stage: Principal, topic: Topic, partition: int) -> None:
        self._client = command_clients.group_positions(settings, stage)
        self._place = TopicPartition(topic_name(settings, topic), partition)
        self._ended = Event()
        self._thread = Thread(target=self._watch)
        self.seen: list[tuple[float, int]] = []  # by the monotonic clock
        self._thread.start()

    def passed(self, offset: int, check: Callable[[], None]) -> None:
        """Wait until the offset is passed, calling `check` meanwhile.

        Raises:
            TimeoutError: it is not, for long.
        """
        deadline = time.monotonic() + _STALL_SECONDS
        while not self.seen or self.seen[-1][1] <= offset:
            check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the offset {offset} was not passed within {_STALL_SECONDS:.0f} s")
            time.sleep(_EVERY_SECONDS)

    def close(self) -> None:
        """End the watch."""
        self._ended.set()
        self._thread.join()
        self._client.close()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            (found,) = self._client.committed([self._place], _ANSWER_SECONDS)
            if not self.seen or found.offset > self.seen[-1][1]:
                self.seen.append((time.monotonic(), found.offset))


@contextmanager
def watching(settings: Settings, stage: Principal, topic: Topic, partition: int) -> Iterator[Commits]:
    """Watch a stage's commits for as long as the block lasts."""
    commits = Commits(settings, stage, topic, partition)
    try:
        yield commits
    finally:
        commits.close()
