"""A tiny log counted by hand: what the curate stage makes of it is what the report says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from scipy.stats import binomtest

from deploy.trial.day_one.census import census, counted
from deploy.trial.day_one.inputs import Unreadable
from deploy.trial.day_one.student import teaching
from deploy.trial.day_one.survey import NO_LABEL, RequestFate, survey
from schemas.records import AnsweredBy
from streams.core.stage import Message
from tests.deploy.trial.day_one.logs import NOW, WORKLOAD, five_fields, message, record, surveyed

LONG = "the central bank raised its policy rate by a quarter point on Tuesday afternoon"
LOG = [
    record(LONG, "rates", 1),
    record(LONG.upper(), "rates", 2),  # an exact repeat, answered alike
    record(LONG, "banks", 3),  # an exact repeat, answered otherwise: a vote
    record(LONG.replace("Tuesday", "Wednesday"), "Interest", 4),  # a near repeat, in an alias
    record("a lender fails", "banks", 5),
    record("write to ann.lee@example.com about copper", "metals", 6),
    record("zinc falls again", "who knows", 7),  # no label of the set
    record("no answer to this one", None, 8),
    record("!!!! ???? ;;;; ~~~~ ^^^^ ====", "banks", 9),  # refused by a quality rule
    record("a student answered this", "banks", 10, answered_by=AnsweredBy.STUDENT),
]


def test_census__of_a_log_counted_by_hand() -> None:
    """Rows, answers, duplicates, personal data and refusals are those that a person counts."""
    found = census(surveyed(LOG), WORKLOAD)

    assert (found.rows.read, found.rows.requests, found.rows.filtered) == (10, 10, {"quality.length": 1})
    assert found.rows.began == NOW - timedelta(days=3) + timedelta(minutes=1)
    assert found.labels.answered is not None
    assert found.labels.answered.value == pytest.approx(8 / 10)
    assert {label: one.value for label, one in found.labels.mix.items()} == pytest.approx(
        {"rates": 3 / 7, "banks": 3 / 7, "metals": 1 / 7}
    )
    assert found.labels.outside_most == {"who knows": 1}
    assert found.labels.students == 1
    assert found.duplicates is not None
    assert (found.duplicates.exact.value, found.duplicates.near.value) == pytest.approx((2 / 10, 1 / 10))
    assert [(one.requests, one.exact) for one in found.duplicates.largest] == [(4, 2)]
    assert found.duplicates.same_answer_exact is not None
    assert found.duplicates.same_answer_exact.value == 1 / 2
    assert found.personal.found == {"email": 1}
    assert found.personal.redacted == {"email": 1}


def test_census__intervals_know_of_duplicates() -> None:
    """The ten requests are worth 10^2 / (4^2 + 6) independent ones, and the interval is that of so many."""
    found = census(surveyed(LOG), WORKLOAD)
    answered = found.labels.answered

    assert answered is not None
    assert answered.effective_n == pytest.approx(100 / 22)
    assert answered.low < binomtest(8, 10).proportion_ci(0.95, "exact").low


def test_census__never_holds_the_data_itself() -> None:
    """Personal data is in no text and no answer that the figures show."""
    log = [record("call ann.lee@example.com", "it says bob@example.com", number) for number in range(3)]
    found = census(surveyed(log), WORKLOAD)

    assert "@" not in str(found)
    assert found.labels.outside_most == {"it says <EMAIL>": 3}


def test_census__of_one_id_sent_twice__counts_it_once() -> None:
    """A request that was sent again is counted, and left out of every share."""
    found = census(
        surveyed([record("a lender fails", "banks", 1, id="x"), record("again", "rates", 2, id="x")]), WORKLOAD
    )

    assert (found.rows.read, found.rows.requests, found.rows.resent) == (2, 1, 1)
    assert list(found.labels.mix) == ["banks"]


def test_survey__of_json_exchanges() -> None:
    """Five-field and bare exchanges are read as curate reads them; usage, models and refusals are recognised."""
    pair = five_fields("copper rises", "metals", 2, "other-model")
    del pair["timestamp"], pair["workload_id"], pair["client_id"]
    tools = five_fields("with tools", "banks", 3)
    tools["request"]["tools"] = [{"type": "function"}]
    elsewhere = five_fields("not ours", "banks", 4) | {"workload_id": "other"}
    rows: list[Message | Unreadable] = [
        message(1, orjson.dumps(five_fields("a lender fails", "banks", 1, prompt_tokens=50, completion_tokens=2))),
        message(2, orjson.dumps(pair), workload="desk"),
        message(3, orjson.dumps(tools)),
        message(4, orjson.dumps(elsewhere)),
        message(5, b"neither"),
        Unreadable(6, "unreadable", "is no JSON"),
    ]
    allowing = WORKLOAD.model_copy(update={"harvest": WORKLOAD.harvest.model_copy(update={"models": ["teacher"]})})
    found = survey(rows, allowing, Path())

    assert found.rows == 6
    assert [(one.row, one.text, one.answer) for one in found.requests] == [
        (1, "a lender fails", "banks"), (2, "copper rises", "metals"),
    ]  # fmt: skip
    assert [one.learnable for one in found.requests] == [True, False]
    assert [one.tokens and sum(one.tokens) for one in found.requests] == [52, None]
    assert found.ineligible == {"only the teacher can answer: tools": 1}
    assert found.refused == {"unknown_workload": 1, "bad_encoding": 1, "unreadable": 1}
    assert sorted(one.row for one in found.first_refused) == [4, 5, 6]
    assert [one.row for one in teaching(counted(found))] == [1]


def test_teaching__without_one_answer_that_may_teach__takes_all() -> None:
    """Where the workload lists nobody whose answers may be learnt from, the recorded answers play the teacher."""
    unknown = [record(f"text {number}", "banks", number, answered_by=AnsweredBy.UNKNOWN) for number in range(3)]

    assert len(teaching(surveyed(unknown).requests)) == 3


def test_survey__batches_do_not_show() -> None:
    """A repeat of a text in an earlier batch is found as one in the same batch is."""
    log = [record(f"headline {number} about {'copper' if number % 2 else 'zinc'}", "metals", number % 9)
           for number in range(5_001)]  # fmt: skip
    found = surveyed([*log, record(log[0].text or "", "who knows", 9)])

    assert found.requests[-1].place is RequestFate.EXACT
    assert found.requests[-1].cluster == found.requests[0].cluster
    assert found.requests[-1].label == NO_LABEL
