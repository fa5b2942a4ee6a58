"""The broker killed under a worker and its traffic, and brought back: at once, or after a minute."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from deploy.infra.kafka.embedded import EmbeddedKafka
from deploy.infra.kafka.settings import KafkaSettings
from deploy.infra.kafka.topics import apply
from tests.faults.accounts import assert_nothing_lost_or_doubled, curated, ended
from tests.faults.conftest import Note
from tests.faults.traffic import Traffic, flowing, write_workloads
from tests.faults.workers import Worker, ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]


# librdkafka 2.16 may never come back from send_offsets_to_transaction once the coordinator was away, whatever its
# timeout (librdkafka's issues 5456 and 5511, open): the worker's own watch over its progress then ends the process.
STALL_SECONDS: Final = "30"


@pytest.fixture
def own_broker(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker that may be killed; it comes back on the port and with the data it had."""
    del broker  # skips where no broker can be had
    home, jars_dir = tmp_path / "kafka", KafkaSettings.load_to_stay().jars_dir
    kafka = EmbeddedKafka(home, EmbeddedKafka(home, jars_dir=jars_dir).start().port, jars_dir=jars_dir)
    try:
        yield kafka
    finally:
        kafka.stop()


@pytest.mark.parametrize("down_seconds", [0, 60])
def test_broker__killed_while_traffic_flows__comes_back(
    own_broker: EmbeddedKafka, tmp_path: Path, note: Note, down_seconds: int
) -> None:
    """The worker outlives the outage, or is started again by its supervisor; either way nothing is lost or doubled."""
    settings = Settings(
        bootstrap_servers=own_broker.bootstrap_servers, state_dir=tmp_path / "state",
        artefacts_dir=tmp_path / "artefacts", workloads_dir=tmp_path / "workloads",
    )  # fmt: skip
    apply(settings)
    write_workloads(settings.workloads_dir)
    traffic = Traffic(settings)
    worker = Worker(settings, 0, "curate,label", environment={"MILLRACE_STALL_SECONDS": STALL_SECONDS})
    with ending(worker), flowing(traffic) as flow:
        until(lambda: ended(curated(settings)) > 0, 60, "the first records are curated", worker)
        before, sent = curated(settings), len(traffic.sent)
        running = own_broker.running()
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        note(f"SIGKILL to broker {running.pid}: {ended(before)} records had ended, {sent} were sent")
        psutil.Process(running.pid).wait(30)
        time.sleep(down_seconds)  # the fault itself: how long there is no broker
        alive = worker.process.poll() is None
        own_broker.start()
        until(lambda: len(traffic.sent) > sent + 100, 120, "traffic is acknowledged again", worker)
        flow.end()

        def settled() -> bool:
            worker.restart()
            return not any(account.in_flight for account in verify(settings))

        until(settled, 180, "all of it is settled", worker)
    stalled = worker.said("no progress for")
    if stalled:
        note(stalled)
    survived = "outlived it" if worker.starts == 1 else f"was started {worker.starts - 1} times again"
    note(f"down for {down_seconds} s and a start; the worker {'ran' if alive else 'had ended'} at its end, {survived}")

    assert_nothing_lost_or_doubled(settings, len(traffic.sent), note)
