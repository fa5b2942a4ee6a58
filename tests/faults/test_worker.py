"""Real workers under SIGKILL, SIGSTOP and SIGTERM: nothing lost, nothing doubled, by `verify`."""

from __future__ import annotations

import subprocess
import time

import pytest

from deploy.edge.settings import Settings
from tests.faults.workers import Worker, curated, feed, flowing, running, until, write_workloads

pytestmark = [pytest.mark.broker, pytest.mark.faults]

FROZEN_SECONDS = 9.0  # longer than the session timeout of 6 s: the group goes on without the frozen worker


def test_two_workers__killed_and_frozen_while_traffic_flows__lose_and_double_nothing(topics: Settings) -> None:
    """Every record ends exactly once through four SIGKILLs and a zombie."""
    write_workloads(topics.workloads_dir)
    with running(topics, 2) as workers, flowing(topics) as traffic:
        until(lambda: sum(curated(topics).ended.values()) > 0, 60, "the first records are curated")
        for victim, freeze in ((0, False), (1, False), (0, True), (1, False), (0, False)):
            before = sum(curated(topics).ended.values())
            if freeze:
                workers[victim].freeze()
                time.sleep(FROZEN_SECONDS)  # the fault itself: how long the process stands still
                workers[victim].thaw()
            else:
                workers[victim].kill()
            for worker in workers:
                worker.restart()
            _until_more_than(topics, before)
        traffic.end()

        def caught_up() -> bool:
            for worker in workers:
                worker.restart()  # a fenced worker ends itself; its supervisor starts it again
            return curated(topics).in_flight == 0

        until(caught_up, 90, "all traffic is curated")
    account = curated(topics)

    assert (account.inputs, account.residual) == (traffic.records, 0)
    assert account.ended == {"curated": traffic.records}


def test_worker__told_to_stop_under_load__ends_in_seconds_with_code_0_and_keeps_its_word(topics: Settings) -> None:
    """SIGTERM commits or drops the batch in work; a restart finishes without loss or doubles."""
    write_workloads(topics.workloads_dir)
    feed(topics, range(12_000))
    with running(topics, 1) as workers:
        worker = workers[0]
        until(lambda: sum(curated(topics).ended.values()) > 0, 60, "the first batch is settled")
        worker.process.terminate()
        code = worker.process.wait(timeout=20)

        assert code == 0, worker.log.read_text()
        worker.restart()
        until(lambda: curated(topics).in_flight == 0, 90, "the rest is curated")
    account = curated(topics)

    assert (account.inputs, account.residual) == (12_000, 0)


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
    """A group without committed offsets is told, not guessed at: `earliest` could skip records silently."""
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


def _until_more_than(settings: Settings, before: int) -> None:
    until(lambda: sum(curated(settings).ended.values()) > before, 60, "the stream goes on")
