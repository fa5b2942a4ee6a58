"""Real workers under SIGKILL, SIGSTOP and SIGTERM: nothing lost, nothing doubled, by `verify`."""

from __future__ import annotations

import subprocess
import time

import pytest

from deploy.edge.process.settings import Settings
from tests.faults.accounts import assert_nothing_lost_or_doubled, curated, ended
from tests.faults.conftest import Note
from tests.faults.traffic import Traffic, flowing, write_workloads
from tests.faults.workers import Worker, running, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]

FROZEN_SECONDS = 9.0  # longer than the session timeout of 6 s: the group goes on without the frozen worker


def test_two_workers__killed_and_frozen_while_traffic_flows__lose_and_double_nothing(
    topics: Settings, note: Note
) -> None:
    """Every record ends exactly once through three SIGKILLs and two zombies."""
    write_workloads(topics.workloads_dir)
    traffic = Traffic(topics)
    with running(topics, 2) as workers, flowing(traffic) as flow:
        until(lambda: ended(curated(topics)) > 0, 60, "the first records are curated", *workers)
        for victim, freeze in ((0, False), (1, False), (0, True), (1, True), (0, False)):
            before = ended(curated(topics))
            worker = workers[victim]
            note(f"{'SIGSTOP' if freeze else 'SIGKILL'} to process {worker.process.pid}: {before} records had ended")
            if freeze:
                worker.freeze()
                time.sleep(FROZEN_SECONDS)  # the fault itself: how long the process is frozen
                worker.thaw()
            else:
                worker.kill()
            for each in workers:
                each.restart()
            until(lambda: ended(curated(topics)) > before, 60, "the stream goes on", *workers)  # noqa: B023
        flow.end()

        def caught_up() -> bool:
            for worker in workers:
                worker.restart()  # a fenced worker ends itself; its supervisor starts it again
            return curated(topics).in_flight == 0

        until(caught_up, 90, "all traffic is curated", *workers)
    note(f"starts of each worker: {[worker.starts for worker in workers]}")

    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)


def test_worker__told_to_stop_under_load__ends_in_10_seconds_with_code_0_and_keeps_its_word(
    topics: Settings, note: Note
) -> None:
    """SIGTERM commits or drops the batch in work; a restart finishes without loss or doubles."""
    write_workloads(topics.workloads_dir)
    traffic = Traffic(topics)
    with running(topics, 1) as workers, flowing(traffic, records=60) as flow:
        worker = workers[0]
        until(lambda: ended(curated(topics)) > 0, 60, "the first batch is settled", worker)
        code = worker.stop()
        flow.end()
        at_stop = curated(topics)
        note(f"SIGTERM: code {code}; {ended(at_stop)} records had ended, {at_stop.in_flight} were still to come")
        worker.restart()
        until(lambda: curated(topics).in_flight == 0, 90, "the rest is curated", worker)

    assert code == 0, worker.log.read_text()
    assert at_stop.in_flight > 0
    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)


def test_second_worker__on_the_same_state_folder__is_refused_with_code_2(topics: Settings) -> None:
    """Two processes with one transactional id would fence each other for ever."""
    write_workloads(topics.workloads_dir)
    with running(topics, 1) as workers:
        until(lambda: "assigned" in workers[0].log.read_text(), 60, "the first worker joined")
        second = Worker(topics, 0)
        code = second.process.wait(timeout=60)

    assert code == 2
    assert "is held by another worker" in second.log.read_text()


def test_worker__without_start_offsets__says_what_to_run(topics: Settings) -> None:
    """A group without committed offsets is reported, not guessed at: `earliest` could skip records silently."""
    write_workloads(topics.workloads_dir)
    bare = topics.model_copy(update={"topic_prefix": f"{topics.topic_prefix}nothing."})
    worker = Worker(bare, 7)
    try:
        code = worker.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        worker.kill()
        raise

    assert code == 2
    assert "millrace topics apply" in worker.log.read_text()
