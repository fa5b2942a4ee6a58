"""The verifier itself: real workers that break one promise each, and `millrace verify` says which record it was."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer

from deploy.commands.verify.accounts import Account
from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.codec import encode
from schemas.records import TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from tests.deploy.commands.verify.wrong_worker import FAULTS

pytestmark = [pytest.mark.broker, pytest.mark.faults]

ROOT = Path(__file__).parents[4]
HOME = partition_of("news", PARTITIONS)
PLACE = f"traffic/{HOME} at offset"
COPIES = {6: 2, 8: 3}  # offset -> offset of the first with its text
GARBAGE = 7
SECONDS = 60.0

SAYS = {
    "none": None,
    "deduplication is off": f"repeated: {PLACE} 6 has the text of the record at {HOME}:2 and was taken for new",
    "dead-lettering is off": f"missing: {PLACE} {GARBAGE}",
    "one record is removed": f"missing: {PLACE} 5",
    "one record is doubled": f"doubled: {PLACE} 5",
    "a duplicate names nobody": f"dangling: {PLACE} 6 duplicates nobody, which is not in curated",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verify__of_a_worker_that_breaks_a_promise__is_red_and_names_the_place(topics: Settings, fault: str) -> None:
    """Green on the sound worker; each fault is seen from the topics alone, on the record it hit."""
    _feed(topics)
    with _working(topics, fault):
        account = _settled(topics)
    print(f"{fault}: {account}")

    assert (account.inputs, account.in_flight) == (12, 0)
    assert account.first_offence("traffic") == SAYS[fault]
    assert account.residual == {"none": 0, "deduplication is off": 2, "a duplicate names nobody": 2}.get(fault, 1)


def _feed(settings: Settings) -> None:
    """Produce twelve records of one workload: nine texts, two of them again, and one that is no record."""
    settings.workloads_dir.mkdir(parents=True)
    settings.workloads_dir.joinpath("news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')
    client = Producer(producer(settings))
    for offset in range(12):
        number = COPIES.get(offset, offset)
        text = " ".join(f"w{number * 7919 + word * word * 104729}" for word in range(12))
        record = encode(TrafficRecord(workload="news", event_time=datetime.now(UTC), text=text))
        value = b"no record" if offset == GARBAGE else record
        client.produce(topic_name(settings, TRAFFIC), value, b"news", HOME)
    assert client.flush(20) == 0


@contextmanager
def _working(settings: Settings, fault: str) -> Iterator[None]:
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": settings.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(settings.workloads_dir),
        "MILLRACE_STATE_DIR": str(settings.state_dir),
        "MILLRACE_METRICS_PORT": "0",
    }
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.deploy.commands.verify.wrong_worker", fault]
    with (settings.state_dir / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


def _settled(settings: Settings) -> Account:
    """Return the account of the curate stage once nothing is in flight."""
    deadline = time.monotonic() + SECONDS
    while (account := verify(settings)[0]).in_flight:
        log = (settings.state_dir / "worker.log").read_text()
        assert time.monotonic() < deadline, f"not settled within {SECONDS:.0f} s: {account}\n{log}"
        time.sleep(0.2)
    return account
