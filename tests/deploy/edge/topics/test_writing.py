"""Commands that write one record, against a real broker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.edge.process.settings import Settings
from deploy.edge.topics.reading import read_partition
from deploy.edge.topics.writing import write_one
from schemas.errors import ContractError
from schemas.principals import Principal
from schemas.topics import LABELS, ROLLOUT_COMMANDS, ROLLOUT_STATUS

PEOPLE = 8
PARTITION = 3


@pytest.mark.broker
def test_write_one__by_several_at_once(topics: Settings):
    """Whoever commands at the same time fences nobody off: each record is there, once."""
    values = [f"command {number}".encode() for number in range(PEOPLE)]

    def command(value: bytes) -> None:
        write_one(topics, Principal.ROLLOUT_COMMAND, ROLLOUT_COMMANDS, PARTITION, b"news", value)

    with ThreadPoolExecutor(PEOPLE) as people:
        list(people.map(command, values))
    found = [raw.value() for raw in read_partition(topics, Principal.DEMO, ROLLOUT_COMMANDS, PARTITION)]

    assert sorted(found) == values


def test_write_one__topic_that_is_not_the_writers():
    """A command writes only where the catalogue lets it, with a broker or without."""
    nowhere = Settings(bootstrap_servers="127.0.0.1:1")
    for topic in (LABELS, ROLLOUT_STATUS):
        with pytest.raises(ContractError, match=topic.name):
            write_one(nowhere, Principal.ROLLOUT_COMMAND, topic, PARTITION, b"news", b"x")
