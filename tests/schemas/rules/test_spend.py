"""What calls come to, live and in batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.spend import Spend, cost_of
from schemas.sections.label import Price
from tests.streams.doubles import label

COUNTS = st.tuples(st.integers(0, 9), st.integers(0, 10_000), st.integers(0, 10_000))
PRICE = Price(prompt_per_million=2.0, completion_per_million=4.0, batch_share=0.25)


@given(st.lists(st.tuples(COUNTS, st.booleans())))
def test_money__is_the_sum_of_what_each_call_cost(calls: list[tuple[tuple[int, int, int], bool]]) -> None:
    """However live and batched calls are mixed, each costs its own price; calls and tokens are counted alike."""
    total = sum((Spend.of_calls(*counts, batched=batched) for counts, batched in calls), Spend())
    money = sum((2.0 * p + 4.0 * c) / 1e6 * (0.25 if batched else 1.0) for (_, p, c), batched in calls)

    assert total.money(PRICE) == pytest.approx(money)
    assert total.of("calls", PRICE) == sum(counts[0] for counts, _ in calls)
    assert total.of("tokens", PRICE) == sum(counts[1] + counts[2] for counts, _ in calls)
    assert total.batched_calls == sum(counts[0] for counts, batched in calls if batched)


@pytest.mark.parametrize(("batched", "money"), [(False, 6.0), (True, 1.5)])
def test_label__at_the_price_of_its_way(*, batched: bool, money: float) -> None:
    """A label says whether its calls went in batches, and is billed so."""
    spend = cost_of(
        label(1, "other", teacher_calls=1, prompt_tokens=1_000_000, completion_tokens=1_000_000, batched=batched)
    )

    assert spend is not None
    assert spend.money(PRICE) == pytest.approx(money)
