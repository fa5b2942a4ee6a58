"""The trigger teacher-drift: what is compared, what a round proves, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtrc
from scipy.stats import binom

from benchmarks.trigger_anchors import ALPHA, LIMIT, alarm, answers
from schemas.records import LabelKind, LabelRecord, Provenance
from schemas.workload import Workload
from streams.triggers import watch
from streams.triggers.teacher_drift import LEAST, NAME
from streams.triggers.watch import Watch, with_past_label
from tests.streams.doubles import START, label
from tests.streams.triggers.samples import folded, stream, watching

N = 40
OF = watching(teacher_drift=0.1)


def answer(number: int, said: str, turn: int = 0, **fields: Any) -> LabelRecord:
    """Return what the teacher says of an anchor in a round."""
    at: dict[str, Any] = {"event_time": START + timedelta(days=turn), "provenance": Provenance.TEACHER}
    return label(number, said, kind=LabelKind.ANCHOR, **{"record_id": f"anchor-{number}"} | at | fields)


def round_of(turn: int, changed: int = 0, n: int = N) -> list[LabelRecord]:
    """Return a round's answers; the first so many are another label than in a quiet round."""
    return [answer(number, "mergers" if number < changed else "other", turn) for number in range(n)]


def verdict_of(found: Watch, of: Workload = OF):
    (verdict,) = (one for one in watch.verdicts(found, of) if one.trigger == NAME)
    return verdict


def test_swap__fires_at_the_answer_that_proves_it() -> None:
    """Half of the anchors answered otherwise fire within the round; the numbers say what was seen."""
    epoch = folded(OF, round_of(0)).turned()
    found = folded(OF, round_of(1, changed=20), epoch)
    verdict = verdict_of(found)

    assert found.fired == {NAME}
    assert verdict.numbers["changed"] == 11  # of 40, where 10 % may: 10 are likelier than alpha / 2
    assert (verdict.numbers["n"], verdict.numbers["round"], verdict.numbers["floor"]) == (40, 1, 0.1)
    assert verdict.numbers["statistic"] >= verdict.numbers["threshold"]
    assert "11 of 40 anchors" in verdict.explanation
    assert found.turned().fired == frozenset()


def test_fired__stays_until_the_request() -> None:
    """Quiet rounds take nothing back."""
    found = folded(OF, round_of(1, changed=20) + round_of(2), folded(OF, round_of(0)).turned())

    assert found.fired == {NAME}
    assert found.anchors.changed == 0


def test_first_epoch__compares_with_the_first_answers() -> None:
    """Before the first request an anchor's first answer is its reference, and the first round proves nothing."""
    first = folded(OF, round_of(0))
    verdict = verdict_of(first)
    assert not verdict.fired
    assert "the next round is compared" in verdict.explanation

    assert folded(OF, round_of(1, changed=20), first).fired == {NAME}
    assert verdict_of(folded(OF, round_of(1, changed=20), first)).numbers["round"] == 1


def test_reference__is_the_last_answer_of_the_epoch_before() -> None:
    """A change that the last epoch saw is the reference of this one."""
    epoch = folded(OF, round_of(0) + round_of(1, changed=3)).turned()
    same, back = folded(OF, round_of(2, changed=3), epoch), folded(OF, round_of(2), epoch)

    assert (same.anchors.changed, back.anchors.changed) == (0, 3)


def test_rounds__begin_anew_and_spend_less() -> None:
    """Changes of one round do not count in the next, whose threshold is higher."""
    epoch = folded(OF, round_of(0)).turned()
    first = folded(OF, round_of(1, changed=6), epoch)
    second = folded(OF, round_of(2, changed=6), first)

    assert (first.anchors.changed, second.anchors.changed) == (6, 6)
    assert verdict_of(second).numbers["round"] == 2
    assert verdict_of(second).numbers["threshold"] > verdict_of(first).numbers["threshold"]
    assert not second.fired


def test_answers__that_do_not_count() -> None:
    """A copy of the cluster's answer, a second answer in a round, and one of an earlier round change no number."""
    epoch = folded(OF, round_of(0)).turned()
    found = folded(OF, round_of(2)[1:], epoch)
    noise = [
        *(answer(number, "mergers", 2, provenance=Provenance.CLUSTER) for number in range(N)),
        *(answer(number, "mergers", 2) for number in range(1, N)),
        *(answer(number, "mergers", 1) for number in range(N)),
    ]
    after = folded(OF, noise, found)

    assert (after.anchors.changed, after.anchors.look, after.fired) == (0, 1, frozenset())


def test_anchors__that_are_new_count_from_the_next_round() -> None:
    """A round is judged by the anchors that had a reference when it began."""
    epoch = folded(OF, round_of(0)).turned()
    first = folded(OF, round_of(1, n=N + 5), epoch)
    second = folded(OF, round_of(2, n=N + 5), first)

    assert (first.anchors.anchors, second.anchors.anchors) == (N, N + 5)


def test_late_answers__of_the_round_before_the_request_are_references() -> None:
    """A request in the middle of a round, as the trigger's own, does not see the same change twice."""
    swapped = round_of(1, changed=20)
    fired = folded(OF, swapped[:20], folded(OF, round_of(0)).turned())
    after = folded(OF, swapped[20:] + round_of(2, changed=20), fired.turned())

    assert fired.fired == {NAME}
    assert (after.fired, after.anchors.look, after.anchors.changed) == (frozenset(), 1, 0)


def test_anchors__too_few() -> None:
    """With fewer than 20 the verdict says so, and whatever they answer fires nothing."""
    few = LEAST - 1
    found = folded(OF, round_of(0, n=few) + round_of(1, changed=few, n=few))
    verdict = verdict_of(found)

    assert not verdict.fired
    assert "19 anchors" in verdict.explanation
    assert "fewer than 20" in verdict.explanation


def test_anchors__that_got_no_answer_make_it_no_more_eager() -> None:
    """Where only the anchors that changed are answered, the others count as unchanged."""
    epoch = folded(OF, round_of(0)).turned()
    found = folded(OF, round_of(1, changed=8)[:8], epoch)

    assert (found.anchors.changed, found.anchors.anchors, found.fired) == (8, 40, frozenset())


def test_off__keeps_nothing() -> None:
    """A workload without the trigger has no verdict of it and no answers in memory."""
    off = watching(count=40)

    assert folded(off, round_of(0)).anchors == Watch().anchors
    assert watch.verdicts(folded(off, round_of(0)), off) == []


def test_answers__are_no_labels() -> None:
    """No other trigger sees them."""
    of = watching(label_mix=0.2, teacher_drift=0.1)
    found = folded(of, stream(1, 50) + round_of(0))

    assert found.recent is not None
    assert found.recent.n == 50


def test_news__of_a_round() -> None:
    """The answer that fires it is news, and so is each new round while it has fired; another answer is not."""
    epoch = folded(OF, round_of(0)).turned()
    news, before = [], epoch
    for at, record in enumerate(round_of(1, changed=12) + round_of(2)):
        after = folded(OF, [record], before)
        if after.news_since(before):
            news.append(at)
        before = after

    assert news == [10, N]


@pytest.mark.parametrize("cut", [0, 1, N, N + 7, 2 * N, 3 * N])
def test_rebuilt__from_the_answers_of_two_epochs(cut: int) -> None:
    """Read back from the request before the last one on, the state is the one that was lost."""
    history = [answer(number, "mergers", -1) for number in range(N + 5)]
    rows = round_of(0) + round_of(1, changed=4) + round_of(2, changed=5, n=N + 5)
    lived = folded(OF, rows[cut:], folded(OF, rows[:cut], folded(OF, history).turned()).turned())
    rebuilt = Watch()
    for row in rows[:cut]:
        rebuilt = with_past_label(rebuilt, OF, row)

    rebuilt = folded(OF, rows[cut:], rebuilt)

    assert (rebuilt.anchors, rebuilt.verdicts) == (lived.anchors, lived.verdicts)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.001, 0.9))
def test_bound__of_unequal_chances(chances: Sequence[float], limit: float) -> None:
    """Where the mean chance is at most the limit, no tail from n limit + 1 on is above the binomial's (Hoeffding)."""
    mean = sum(chances) / len(chances)
    scaled = [chance * min(1.0, limit / mean) for chance in chances] if mean else list(chances)
    exact = np.array([1.0])
    for chance in scaled:
        exact = np.convolve(exact, [1 - chance, chance])
    n = len(scaled)

    for changes in range(1, n + 1):
        if changes >= n * limit + 1:
            assert exact[changes:].sum() <= bdtrc(changes - 1, n, limit) + 1e-9


def test_false_alarms__of_a_teacher_that_is_unsure_of_half_of_the_anchors() -> None:
    """Of 1,000 streams of 30 rounds, exactly at the limit, at most alpha alarm, with what chance adds to it (95 %)."""
    alarms = sum(alarm(seed, rounds=30) is not None for seed in range(1_000))

    assert alarms <= binom.ppf(0.975, 1_000, ALPHA)


def test_power__against_a_swap() -> None:
    """A teacher of whom three in ten answers are others is seen in the first round, nearly always."""
    assert sum(alarm(seed, rounds=30, swapped=0.3) == 1 for seed in range(50)) >= 45


@pytest.mark.parametrize(("seed", "swapped"), [(1, 0.0), (2, 0.15), (3, 0.2)])
def test_simulation__is_what_the_worker_does(seed: int, swapped: float) -> None:
    """Judged at each round's end, a stream alarms in the round in which the worker's fold of its answers fires."""
    of = watching(teacher_drift=LIMIT)
    found, fired = Watch(), None
    for turn, said in enumerate(answers(seed, 8, swapped)):
        found = folded(of, [answer(at, str(one), turn) for at, one in enumerate(said)], found)
        if found.fired and fired is None:
            fired = turn
        if not turn:
            found = found.turned()

    assert alarm(seed, 8, swapped) == fired
