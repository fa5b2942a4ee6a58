"""The rollout controller killed at each step of the transaction that carries a transition."""

from __future__ import annotations

import pytest

from deploy.edge.process.settings import Settings
from schemas.events import ModelState, RolloutState, RolloutStatus
from schemas.topics import MODEL_PROMOTION, MODEL_STATE, OUTCOMES, ROLLOUT_STATUS
from tests.faults.conftest import Note
from tests.faults.deaths import await_death, doomed
from tests.faults.killed import TRANSACTION_MOMENTS
from tests.faults.topics import publish, records
from tests.faults.traffic import write_workload
from tests.faults.workers import Worker, ending, until
from tests.streams.rollout.rollouts import LABELS, Controller, news, nomination

pytestmark = [pytest.mark.broker, pytest.mark.faults]


@pytest.mark.parametrize("moment", TRANSACTION_MOMENTS)
def test_controller__killed_at_a_step_of_a_transition(topics: Settings, note: Note, moment: str) -> None:
    """The rollout goes the way of an undisturbed one: every state and status once, in order, to the promotion."""
    workload = news()
    limits = {"shadow_requests": 30, "assigned_per_step": 5, "steps_percent": [5, 50, 100]}
    write_workload(topics.workloads_dir, workload.name, LABELS, {"rollout": limits})
    undisturbed = Controller(workload)
    worker = doomed(topics, "rollout", moment, 2, "rollout")
    with ending(worker):
        publish(topics, MODEL_PROMOTION, workload.name, nomination())
        undisturbed.feed(nomination())
        while undisturbed.state.state is not RolloutState.PROMOTED:
            await_states(topics, undisturbed, worker, note)
            batch = [undisturbed.outcome(number) for number in range(40)]
            publish(topics, OUTCOMES, workload.name, *batch)
            undisturbed.feed(*batch)
        await_states(topics, undisturbed, worker, note)
    statuses = records(topics, ROLLOUT_STATUS, RolloutStatus)
    note(" -> ".join(f"{status.state.lower()} {status.weight:.0%}" for status in statuses))

    assert worker.starts == 2
    assert [_told(status) for status in statuses] == [_told(status) for status in undisturbed.statuses]


def await_states(settings: Settings, undisturbed: Controller, worker: Worker, note: Note) -> None:
    """Wait until the worker has written as many states as the undisturbed run, reviving it after its death."""

    def written() -> bool:
        if worker.starts == 1 and worker.process.poll() is not None:
            await_death(worker, note)
            worker.restart()
        return len(records(settings, MODEL_STATE, ModelState)) >= sum(
            isinstance(record, ModelState) for _, record in undisturbed.written
        )

    until(written, 60, f"the controller writes that the line is {undisturbed.state.state}", worker)


def _told(status: RolloutStatus) -> tuple[object, ...]:
    return status.rollout_id, status.epoch, status.sequence, status.state, status.step, status.weight, status.reason
