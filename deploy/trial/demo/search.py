"""Looks for planted personal data where it must not be: in every topic but traffic, and in every file of ours.

Topics are read through a consumer, because the broker's files hold compressed batches in which a byte search is blind.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames
from schemas.errors import Unavailable
from schemas.principals import Principal, TopicAccess
from schemas.topics import CATALOGUE, PARTITIONS, TRAFFIC

_CHUNK_BYTES: Final = 1 << 22
_PATIENCE_SECONDS: Final = 30.0


def in_topics(settings: Settings, planted: Collection[str]) -> dict[str, set[str]]:
    """Return, by planted value, the topics other than traffic in whose bytes (value, key, headers) it is."""
    found: dict[str, set[str]] = {}
    pattern = _any_of(planted)
    for topic, content in _records(settings):
        for match in pattern.finditer(content):
            found.setdefault(match.group().decode(), set()).add(topic)
    return found


def in_files(folder: Path, planted: Collection[str], leave_out: Collection[Path]) -> dict[str, set[str]]:
    """Return, by planted value, the files under the folder in whose bytes it is, less the folders left out."""
    found: dict[str, set[str]] = {}
    pattern = _any_of(planted)
    overlap = max(map(len, planted), default=0) * 4
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        if any(left in file.parents for left in leave_out):
            continue
        for match in _matches(file, pattern, overlap):
            found.setdefault(match.decode(), set()).add(str(file.relative_to(folder)))
    return found


def _any_of(planted: Collection[str]) -> re.Pattern[bytes]:
    longest_first = sorted({value for value in planted if value}, key=len, reverse=True)
    return re.compile(b"|".join(re.escape(value.encode()) for value in longest_first) or rb"(?!)")


def _matches(file: Path, pattern: re.Pattern[bytes], overlap: int) -> Iterator[bytes]:
    rest = b""
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            for match in pattern.finditer(rest + chunk):
                yield match.group()
            rest = chunk[-overlap:]


def _records(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yield the topic and the joined bytes of every record outside traffic, aborted ones too."""
    consumer = command_clients.consumer(settings, Principal.DEMO, "read_uncommitted")
    readable = TopicNames(settings, Principal.DEMO, TopicAccess.READ)
    names = [readable[topic] for topic in CATALOGUE if topic is not TRAFFIC]
    consumer.assign([TopicPartition(name, n, OFFSET_BEGINNING) for name in names for n in range(PARTITIONS)])
    open_partitions, heard = len(names) * PARTITIONS, time.monotonic()
    try:
        while open_partitions:
            messages = consumer.consume(2_000, 0.5)
            heard = time.monotonic() if messages else heard
            if time.monotonic() - heard > _PATIENCE_SECONDS:
                raise Unavailable(f"the broker sent nothing for {_PATIENCE_SECONDS:.0f} s")
            for message in messages:
                if message.error():
                    open_partitions -= 1
                    continue
                headers: list[tuple[str, bytes | None]] = message.headers() or []  # type: ignore[assignment]
                parts = (message.value(), message.key(), *(value for _, value in headers))
                yield str(message.topic()), b"\x00".join(part for part in parts if part)
    finally:
        consumer.close()
