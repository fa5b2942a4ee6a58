"""The breaker of a partition, on paper."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streams.core.breaker import FIRST_SECONDS, LEAST, LONGEST_SECONDS, PROBE, Breaker, Breakers


def test_breaker__at_half_of_dead_letters__stays_closed_and_above_opens() -> None:
    """The limit itself is still allowed."""
    breaker = Breaker()
    breaker.settled(200, 100, now=0.0)

    assert breaker.closed

    breaker.settled(100, 100, now=1.0)

    assert breaker.opened(1.0)


def test_breaker__with_few_records__never_opens() -> None:
    """A handful of bad records in a quiet hour is no flood."""
    breaker = Breaker()
    breaker.settled(LEAST - 1, LEAST - 1, now=0.0)

    assert breaker.closed


def test_breaker__half_open__closes_on_a_good_probe_and_forgets_the_flood() -> None:
    """After the pause one good batch is enough, and old dead letters do not count again."""
    breaker = Breaker()
    breaker.settled(500, 500, now=0.0)

    assert not breaker.opened(FIRST_SECONDS)

    breaker.settled(PROBE, 0, now=FIRST_SECONDS)
    breaker.settled(LEAST, LEAST // 2, now=FIRST_SECONDS + 1)

    assert breaker.closed


def test_breaker__half_open__pauses_twice_as_long_after_each_bad_probe_up_to_a_limit() -> None:
    """A flood that lasts costs a probe every five minutes, no more."""
    breaker, now, pauses = Breaker(), 0.0, []
    breaker.settled(500, 500, now)
    for _ in range(10):
        began = now
        while breaker.opened(now):
            now += 1.0
        pauses.append(now - began)
        breaker.settled(PROBE, PROBE, now)

    assert pauses == [min(FIRST_SECONDS * 2**n, LONGEST_SECONDS) for n in range(10)]


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 0.5)), max_size=40))
def test_breaker__while_no_batch_has_more_than_half__never_opens(batches: list[tuple[int, float]]) -> None:
    """However the records fall into batches."""
    breaker = Breaker()
    for now, (records, share) in enumerate(batches):
        breaker.settled(records, int(records * share), float(now))

    assert breaker.closed


def test_breakers__of_two_partitions__know_nothing_of_each_other() -> None:
    """A flood of one workload does not stop another's; while one is probed, batches are small."""
    breakers = Breakers()
    changed = breakers.settled({1: 300, 2: 300}, Counter({1: 300}), now=0.0)

    assert (changed, breakers.opened(1.0), breakers.most(5_000, 1.0)) == ({1: False}, {1}, 5_000)
    assert (breakers.opened(FIRST_SECONDS), breakers.most(5_000, FIRST_SECONDS)) == (set(), PROBE)
    assert breakers.settled({1: PROBE}, Counter(), FIRST_SECONDS) == {1: True}
    assert breakers.all_closed()
