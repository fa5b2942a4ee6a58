"""A worker killed around a snapshot and the retrain request that names it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from schemas.events import RetrainRequest, RunState, TrainingRun
from schemas.topics import LABELS, RETRAIN_REQUESTS, TRAINING_RUNS
from tests.faults.accounts import assert_nothing_lost_or_doubled
from tests.faults.conftest import Note
from tests.faults.deaths import await_death, doomed
from tests.faults.killed import SNAPSHOT_MOMENTS, TRANSACTION_MOMENTS
from tests.faults.topics import messages, publish, records, taken
from tests.faults.traffic import WORKLOADS, Tables, Traffic, write_workloads
from tests.faults.undisturbed import essence
from tests.faults.undisturbed import requests as undisturbed_requests
from tests.faults.workers import ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]


@pytest.mark.parametrize("moment", [*SNAPSHOT_MOMENTS, *TRANSACTION_MOMENTS])
def test_worker__killed_around_a_snapshot_and_its_request(
    topics: Settings, note: Note, moment: str, tmp_path: Path
) -> None:
    """Each crossing of the trigger gives exactly one request, with the snapshot that an undisturbed run takes."""
    tables: Tables = {"triggers": {"count": 60, "least_rows": 20}, "teacher": {"may_train": True}}
    write_workloads(topics.workloads_dir, tables)
    traffic = Traffic(topics)
    traffic.send(220 * len(WORKLOADS))
    # Six snapshots meet in one transaction, so the second of them dies between others; transactions: the first.
    worker = doomed(topics, "window", moment, 2 if moment in SNAPSHOT_MOMENTS else 1, "curate,label,window")
    with ending(worker):
        await_death(worker, note)
        note(f"requests made when the worker died: {len(made(topics))} of {len(WORKLOADS)}")
        worker.restart()
        until(lambda: len(made(topics)) >= len(WORKLOADS), 90, "a request of each workload", worker)
        until(lambda: not any(each.in_flight for each in verify(topics)), 90, "all traffic is labelled", worker)
        until(lambda: taken(topics, "window", LABELS), 60, "all labels are in the window", worker)
        _end_runs(topics)
        until(lambda: len(made(topics)) >= 2 * len(WORKLOADS), 60, "the second crossing", worker)
        until(lambda: taken(topics, "window", TRAINING_RUNS), 60, "all runs are taken note of", worker)
    found = made(topics)
    inputs = [*messages(topics, LABELS), *messages(topics, TRAINING_RUNS)]
    note(
        "\n".join(
            f"{each.workload} epoch {each.epoch}: {each.rows} rows below {each.labels_offset}, "
            f"{each.snapshot_sha256[:16]}"
            for each in map(essence, found)
        )
    )

    assert list(map(essence, found)) == undisturbed_requests(topics, inputs, tmp_path / "undisturbed")
    assert [(each.workload, each.epoch) for each in found] == [(name, n) for name in sorted(WORKLOADS) for n in (1, 2)]
    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)


def made(settings: Settings) -> list[RetrainRequest]:
    """Return the requests made so far, by workload and epoch."""
    found = records(settings, RETRAIN_REQUESTS, RetrainRequest)
    return sorted(found, key=lambda request: (request.workload, request.epoch))


def _end_runs(settings: Settings) -> None:
    """Say that the run of each request has succeeded, as the dispatcher would."""
    for request in made(settings):
        run = TrainingRun(
            run_id=f"run-{request.request_id}", request_id=request.request_id, workload=request.workload,
            epoch=request.epoch, time=datetime.now(UTC), state=RunState.SUCCEEDED,
        )  # fmt: skip
        publish(settings, TRAINING_RUNS, request.workload, run)
