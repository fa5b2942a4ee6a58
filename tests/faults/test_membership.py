"""A group whose members come and go while traffic flows."""

from __future__ import annotations

import time
from typing import Final

import pytest

from deploy.edge.process.settings import Settings
from tests.faults.accounts import assert_nothing_lost_or_doubled, curated, ended
from tests.faults.conftest import Note
from tests.faults.traffic import Traffic, flowing, write_workloads
from tests.faults.workers import Worker, ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]

ROUNDS: Final = 4  # two rebalances each, over a good two minutes
APART_SECONDS: Final = 20.0  # the session timeout is 6 s: every membership has settled by then


def test_worker__added_and_removed_again_and_again__loses_and_doubles_nothing(topics: Settings, note: Note) -> None:
    """Partitions move to a worker without any state and back; each is rebuilt where it goes."""
    write_workloads(topics.workloads_dir)
    traffic = Traffic(topics)
    steady = Worker(topics, 0)
    with ending(steady), flowing(traffic, records=6) as flow:
        until(lambda: ended(curated(topics)) > 0, 60, "the first records are curated", steady)
        for number in range(1, ROUNDS + 1):
            guest = Worker(topics, number)
            with ending(guest):
                until(lambda: guest.said("rebuilt from") is not None, 60, "it has a partition", guest)  # noqa: B023
                time.sleep(APART_SECONDS)  # the fault itself: how long it stays
                before, code = curated(topics), guest.stop()
            moved = guest.log.read_text().count("rebuilt from")
            note(f"worker {number} took {moved} partitions and left with code {code}: {ended(before)} records had "
                 f"ended, {before.in_flight} were on their way")  # fmt: skip
            assert code == 0, guest.log.read_text()[-3000:]
            time.sleep(APART_SECONDS)  # and how long it is away
        flow.end()
        until(lambda: curated(topics).in_flight == 0, 90, "all traffic is curated", steady)

    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)
