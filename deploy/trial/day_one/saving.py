"""What a takeover would spare: teacher calls, tokens and money, with the interval of the coverage. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from deploy.trial.day_one.bounds import ShareFigure
from deploy.trial.day_one.student import Said
from schemas.arrays import Flags
from schemas.rules.spend import Spend
from schemas.rules.statistics.intervals import ClusterBootstrap
from schemas.sections.label import Price

_MONTH: Final = timedelta(days=30)
_LEAST_SPAN: Final = timedelta(days=1)  # below it a rate says little about a month


@dataclass(frozen=True)
class Amount:
    """A count or a sum between its bounds."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Amount:
        """Return the amount times a factor."""
        return Amount(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Traffic:
    """The log, as far as savings go."""

    requests: int  # all that ask the teacher: also those that no student may answer or that were filtered
    answerable: int  # of them, those that a student would be asked
    span: timedelta | None  # of the log; None: its times are made up
    audit_share: float  # of the answered, how many the teacher is asked all the same
    repeats: ShareFigure  # share of the requests whose exact text was there before
    judged: int  # requests that share is of


@dataclass(frozen=True)
class Saving:
    """What would be spared over the log; each amount has the interval of the coverage."""

    n: int  # test rows of the coverage
    share: Amount  # of all requests, how many the student could answer
    calls: Amount  # to the teacher, without the audit sample
    cache_calls: Amount  # that a cache of exact texts alone would spare, without any student
    cache_n: int  # requests of that amount
    tokens: Amount | None  # None: no usage is recorded
    tokens_n: int  # test rows with a recorded usage
    money: Amount | None  # None: no price is known, or only one of tokens while no usage is recorded
    money_n: int  # test rows of that amount
    currency: str | None  # None: that of a price for 1,000 requests
    calls_30_days: Amount | None  # at the log's own rate; None: it spans less than a day, or its times are made up
    money_30_days: Amount | None


def saving(
    coverage: ShareFigure, traffic: Traffic, test: Said, taken: Flags, price: Price, price_per_1000: float | None
) -> Saving:
    """Return what is spared.

    Args:
        coverage: share of the test rows that the student answers.
        traffic: the log.
        test: the test rows.
        taken: which of them the student answers.
        price: of the teacher's tokens, by the workload.
        price_per_1000: of its answers to 1,000 requests, in any currency; where it is given, the other does not count.
    """
    asked = traffic.answerable * (1 - traffic.audit_share)  # calls spared by a student that answers everything
    share = Amount(coverage.value, coverage.low, coverage.high)
    tokens, known = _spared(test, taken, lambda spend: float(spend.of("tokens", price)))
    priced = price.prompt_per_million is not None or price.completion_per_million is not None
    money: Amount | None = None
    money_n = 0
    currency: str | None = None
    if price_per_1000 is not None:
        money = share.times(price_per_1000 / 1_000)
        money_n = coverage.n
    elif priced and known:
        money, money_n = _spared(test, taken, lambda spend: spend.money(price))
        currency = price.currency
    months = _MONTH / traffic.span if traffic.span is not None and traffic.span >= _LEAST_SPAN else None
    return Saving(
        n=coverage.n,
        share=share.times(traffic.answerable / traffic.requests),
        calls=share.times(asked),
        cache_calls=Amount(traffic.repeats.value, traffic.repeats.low, traffic.repeats.high).times(traffic.judged),
        cache_n=traffic.repeats.n,
        tokens=_times(tokens, asked),
        tokens_n=known,
        money=_times(money, asked),
        money_n=money_n,
        currency=currency,
        calls_30_days=None if months is None else share.times(asked * months),
        money_30_days=None if months is None else _times(money, asked * months),
    )


def _times(amount: Amount | None, factor: float) -> Amount | None:
    return None if amount is None else amount.times(factor)


def _spared(test: Said, taken: Flags, worth: Callable[[Spend], float]) -> tuple[Amount | None, int]:
    """Return what is spared per request, over the test rows with a recorded usage, and how many those are."""
    known = [(row, Spend(1, *tokens)) for row, tokens in enumerate(test.tokens) if tokens is not None]
    if not known:
        return None, 0
    spared = np.array([worth(spend) * taken[row] for row, spend in known])
    found = ClusterBootstrap([test.clusters[row] for row, _ in known], seed=0).mean(spared)
    return Amount(found.value, found.low, found.high), len(known)
