"""The ledger of calls, from records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deploy.commands.labels.ledger import ledger, plain
from schemas.errors import DeadLetterReason
from schemas.records import Ceiling, DeadLetter, LabelKind, LabelRecord, Origin, Provenance
from schemas.sections.label import Budget, Price
from tests.streams.doubles import label

NOW = datetime(2026, 1, 5, 10, 30, tzinfo=UTC)
ASKED = st.fixed_dictionaries(
    {"first": st.just(1)},
    optional={each: st.integers(1, 4) for each in ("retry", "vote", "second_prompt", "paraphrase")},
)


def asked(calls: dict[str, int], **more: Any) -> LabelRecord:
    total = sum(calls.values())
    return label(1, "mergers", provenance=Provenance.TEACHER, teacher_calls=total, calls=calls, **more)


def letter(reason: DeadLetterReason, calls: int, stage: str = "label") -> DeadLetter:
    return DeadLetter(
        reason=reason, detail="", stage=stage, origin=Origin(topic="curated", partition=0, offset=0), time=NOW,
        payload=b"", payload_bytes=0, payload_sha256="", workload="news", attempts=calls,
    )  # fmt: skip


def ceiling(calls: int) -> Ceiling:
    return Ceiling(
        workload="news", time=NOW, teacher_model="teacher-7b", prompt_sha256="ab", rows=1, effective_n=1.0,
        self_agreement=1.0, low=0.5, high=1.0, ceiling=1.0, teacher_calls=calls,
    )  # fmt: skip


@given(st.lists(ASKED), st.lists(ASKED), st.integers(0, 9), st.integers(0, 9), *[st.lists(st.integers(1, 5))] * 2)
def test_ledger__balances(
    calls: list[dict[str, int]],
    again: list[dict[str, int]],
    harvested: int,
    cached: int,
    refused: list[int],
    measured: list[int],
) -> None:
    """Whatever was labelled, refused, asked again and measured, each call has its purpose; the rest cost none."""
    labels = [
        *map(asked, calls),
        *(label(n, "mergers", provenance=Provenance.HARVEST) for n in range(harvested)),
        *(label(n, "mergers", provenance=Provenance.CLUSTER) for n in range(cached)),
        label(1, "mergers", kind=LabelKind.ERASURE),
    ]
    corrections = [asked(each, kind=LabelKind.CORRECTION) for each in again]
    others: list[DeadLetter | Ceiling] = [
        *(letter(DeadLetterReason.UNKNOWN_LABEL, each) for each in refused),
        *map(ceiling, measured),
    ]
    found = ledger([(NOW, each) for each in [*corrections, *labels]], [(NOW, each) for each in others], NOW)

    assert found.residual == 0
    assert found.calls == sum(sum(each.values()) for each in calls + again) + sum(refused) + sum(measured)
    assert (found.labels, found.harvested, found.cache_hits) == (len(labels) - 1, harvested, cached)
    assert (found.corrections, found.ceiling_calls) == (len(again), sum(measured))


def test_ledger__tells_anchors_apart() -> None:
    """An anchor that was asked again is a call and no label; a copy of its answer is neither."""
    calls = {"first": 1, "retry": 1}
    found = ledger(
        [(NOW, asked(calls, kind=LabelKind.ANCHOR)), (NOW, asked({"first": 1})),
         (NOW, label(1, "mergers", kind=LabelKind.ANCHOR, provenance=Provenance.CLUSTER))], [], NOW
    )  # fmt: skip

    assert (found.labels, found.cache_hits, found.anchors) == (1, 0, 1)
    assert (found.calls, found.retries, found.residual) == (3, 1, 0)
    assert plain(found, Price(), Budget())["anchors"] == 1


def test_ledger__of_a_harvested_label_that_was_paraphrased() -> None:
    """A label that cost no question may have cost a call for its paraphrases, and its repeats."""
    calls = {"paraphrase": 1, "retry": 2}
    found = ledger(
        [(NOW, label(1, "mergers", provenance=Provenance.HARVEST, teacher_calls=3, calls=calls))], [], NOW
    )  # fmt: skip

    assert (found.calls, found.paraphrases, found.retries, found.residual) == (3, 1, 2, 0)


def test_ledger__does_not_balance() -> None:
    """A label that says more calls than it says purposes for is a residual."""
    wrong = label(1, "mergers", provenance=Provenance.TEACHER, teacher_calls=3, calls={"first": 1})

    assert ledger([(NOW, wrong)], [], NOW).residual == 2


def test_ledger__of_an_older_release() -> None:
    """A label whose calls have no recorded purpose balances too."""
    found = ledger([(NOW, label(1, "mergers", provenance=Provenance.TEACHER, teacher_calls=3))], [], NOW)

    assert (found.calls, found.untold, found.residual) == (3, 2, 0)


def test_ledger__dead_letters_of_others() -> None:
    """Only dead letters that the teacher was asked for are on the bill."""
    letters = [letter(DeadLetterReason.BAD_ENCODING, 1), letter(DeadLetterReason.UNKNOWN_LABEL, 1, "curate")]

    assert ledger([], [(NOW, each) for each in letters], NOW).calls == 0


def test_spend__by_hour_and_day_with_its_limits() -> None:
    """This hour and this day (UTC) hold what was appended since; money is tokens at the price, beside the limit."""
    one = asked({"first": 1}, prompt_tokens=1_000_000, completion_tokens=500_000)
    times = [NOW, NOW - timedelta(hours=1), NOW - timedelta(days=1)]
    price = Price(currency="EUR", prompt_per_million=2.0, completion_per_million=4.0)
    budget = Budget.model_validate({"day": {"money": 10.0}})
    books = plain(ledger([(at, one) for at in times], [], NOW), price, budget)["spent"]

    assert [books[period]["calls"]["amount"] for period in ("hour", "day", "total")] == [1, 2, 3]
    assert books["day"]["money"] == {"amount": 8.0, "limit": 10.0}
    assert books["hour"]["tokens"] == {"amount": 1_500_000, "limit": None}


def test_spend__without_a_price() -> None:
    """Without a price money is unknown: it is not nothing."""
    books = plain(ledger([(NOW, asked({"first": 1}))], [], NOW), Price(), Budget())

    assert books["spent"]["total"]["money"]["amount"] is None
