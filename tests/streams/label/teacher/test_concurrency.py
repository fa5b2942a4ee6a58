"""The limit on open calls, against a simulated endpoint."""

from __future__ import annotations

import heapq
from random import Random

import pytest

from streams.label.teacher.concurrency import START, STEP_SHARE, Concurrency

SERVICE = 1.0


class Endpoint:
    """So many slots; what comes beyond waits in line, or is refused at once."""

    def __init__(self, slots: int, ceiling: int, *, refuses: bool = False, seed: int = 1) -> None:
        self.limit, self.slots, self._refuses = Concurrency(ceiling), slots, refuses
        self._random = Random(seed)
        self._free = [0.0] * slots  # when each slot is free
        self._ends: list[tuple[float, float, bool]] = []  # when a call ends, when it began, whether it was refused
        self.now, self.service, self.busy, self.refusals, self.most = 0.0, SERVICE, 0.0, 0, 0

    def run(self, seconds: float) -> float:
        """Ask for so long; return the share of slot time that was in use."""
        self.busy, self.refusals, self.most, end = 0.0, 0, 0, self.now + seconds
        while self.now < end:
            while len(self._ends) < self.limit.limit:
                self._ask()
                self.limit.open(len(self._ends))
            self.most = max(self.most, len(self._ends))
            self.now, began, refused = heapq.heappop(self._ends)
            if refused:
                self.limit.refused(self.now - began, self.now)
            else:
                self.limit.answered(self.now - began, self.now)
        return self.busy / (self.slots * seconds)

    def _ask(self) -> None:
        free = heapq.heappop(self._free)
        if self._refuses and free > self.now:
            heapq.heappush(self._free, free)
            self.refusals += 1
            heapq.heappush(self._ends, (self.now + 0.01, self.now, True))
            return
        takes = self.service * self._random.uniform(0.9, 1.1)
        end = max(free, self.now) + takes
        self.busy += takes
        heapq.heappush(self._free, end)
        heapq.heappush(self._ends, (end, self.now, False))


@pytest.mark.parametrize("slots", [1, 2, 4, 16, 64, 100, 256])
def test_limit__finds_an_endpoint_that_queues(slots: int) -> None:
    """From any number of slots, under one ceiling, 95 % of them are in use, and its line stays short."""
    endpoint = Endpoint(slots, 512)
    endpoint.run(40 * SERVICE)

    assert endpoint.run(200 * SERVICE) >= 0.95
    assert endpoint.most <= 4.5 * slots + 2 * 512 / STEP_SHARE


@pytest.mark.parametrize("slots", [4, 16, 64, 256])
def test_limit__halves_for_an_endpoint_that_refuses(slots: int) -> None:
    """An endpoint that refuses what it has no slot for is used at two thirds or more; a refusal costs no work."""
    endpoint = Endpoint(slots, 256, refuses=True)
    endpoint.run(60 * SERVICE)

    assert endpoint.run(300 * SERVICE) >= 0.66
    assert 1 <= endpoint.limit.limit <= 2 * slots + 16


def test_limit__ceiling_is_never_passed() -> None:
    """However fast the endpoint is, no more calls are open than the workload allows; at first there are few."""
    endpoint = Endpoint(1_000, 32)
    assert endpoint.limit.limit == START
    endpoint.run(100 * SERVICE)

    assert (endpoint.most, endpoint.limit.limit) == (32, 32)


def test_limit__without_enough_calls_to_reach_it() -> None:
    """A limit that is not reached does not grow: nothing is known of what lies beyond it."""
    limit = Concurrency(256)
    for now in range(1_000):
        limit.open(START - 1)
        limit.answered(0.5, float(now))

    assert limit.limit == START


def test_limit__halved_once_for_the_calls_of_one_flight() -> None:
    """Ten refusals of calls that went out together halve it once; one sent afterwards halves it again."""
    limit = Concurrency(64)
    limit.limit = 32
    for _ in range(10):
        limit.refused(1.0, 10.0)
    assert limit.limit == 16

    limit.refused(0.5, 11.0)
    assert limit.limit == 8


def test_limit__endpoint_that_becomes_slow() -> None:
    """Far above its baseline the limit falls; an endpoint that stays slow is the new baseline in the end."""
    endpoint = Endpoint(64, 64)
    endpoint.run(50 * SERVICE)
    assert endpoint.limit.limit == 64
    endpoint.service = 10 * SERVICE
    endpoint.run(100 * SERVICE)
    assert endpoint.limit.limit < 32

    endpoint.run(20_000 * SERVICE)
    assert endpoint.limit.limit > 32
