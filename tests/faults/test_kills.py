"""A worker killed at each step of a transaction, in the stages that every record goes through."""

from __future__ import annotations

import pytest

from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from tests.faults.accounts import assert_nothing_lost_or_doubled, ended
from tests.faults.conftest import Note
from tests.faults.deaths import await_death, doomed
from tests.faults.killed import TRANSACTION_MOMENTS
from tests.faults.traffic import Traffic, flowing, write_workloads
from tests.faults.workers import ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]


@pytest.mark.parametrize("moment", TRANSACTION_MOMENTS)
@pytest.mark.parametrize("stage", ["curate", "label"])
def test_worker__killed_at_a_step_of_a_transaction(topics: Settings, note: Note, stage: str, moment: str) -> None:
    """Whatever the step, the next start neither loses nor doubles a record, and knows the clusters from before."""
    write_workloads(topics.workloads_dir)
    traffic = Traffic(topics)
    with flowing(traffic) as flow:
        worker = doomed(topics, stage, moment, 4, "curate,label")
        with ending(worker):
            await_death(worker, note)
            before = verify(topics)
            arrived = len(traffic.sent)
            until(lambda: len(traffic.sent) > arrived + 300, 60, "traffic goes on")
            flow.end()
            worker.restart()
            until(lambda: not any(each.in_flight for each in verify(topics)), 90, "the rest is settled", worker)
    for account in before:
        note(f"{account.stage}: {ended(account)} of {account.inputs} records had ended when the worker died")

    assert 0 < ended(before[0]) < len(traffic.sent)
    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)
