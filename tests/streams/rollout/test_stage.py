"""The controller as a stage: whole rollouts, restarts at any point, commands, and records it must refuse."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from schemas.events import RolloutAction, RolloutState
from schemas.promotion import PromotionDecision
from schemas.records import DeadLetter
from schemas.topics import OUTCOMES
from tests.streams.doubles import message
from tests.streams.rollout.rollouts import Controller, command, identity, news, nomination, planned

GOOD_END = ["SHADOW", "CANARY", "CANARY", "CANARY", "PROMOTING", "PROMOTED"]


def test_rollout__good_student() -> None:
    """A student that agrees with the teacher goes through every step and becomes the champion."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.promote()

    assert controller.path() == GOOD_END
    assert controller.state.champion is not None
    assert controller.state.champion.version == "student-1"
    assert (controller.state.weight, controller.state.challenger, controller.state.former) == (0.0, None, None)


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_rollout__batching(batch: int) -> None:
    """However outcomes fall into batches, the same states are written at the same outcome."""
    whole, cut = Controller(news()), Controller(news())
    for controller in (whole, cut):
        controller.feed(nomination())
    records = [whole.outcome(i) for i in range(35)]
    whole.feed(*records)
    for start in range(0, len(records), batch):
        cut.feed(*records[start : start + batch])

    assert cut.written == whole.written


@pytest.mark.parametrize("every", [3, 11])
def test_rollout__killed_again_and_again(every: int) -> None:
    """A controller that is started anew after every few outcomes writes what one that never died writes."""
    steady, dying = Controller(news()), Controller(news())
    for controller in (steady, dying):
        controller.feed(nomination())
        for number in range(70):
            controller.feed(controller.outcome(number))
            if controller is dying and number % every == 0:
                controller.restart()

    assert dying.path() == GOOD_END
    assert dying.written == steady.written


def test_batch__aborted() -> None:
    """A batch whose transaction failed leaves no trace: the same batch again gives the same result."""
    controller = Controller(news())
    controller.feed(nomination())
    records = [controller.outcome(i) for i in range(30)]
    controller.feed(*records, commit=False)
    controller.feed(*records)

    assert controller.path() == ["SHADOW", "CANARY"]
    assert controller.statuses[-1].numbers["agreement_n"] == 30


def test_shadow__bad_student() -> None:
    """A student that disagrees is rolled back in shadow: it never answered anybody, and the champion stays."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.outcomes(30, label="other")

    assert controller.path() == ["SHADOW", "ROLLING_BACK", "ROLLED_BACK"]
    assert controller.statuses[-1].reason == "agreement"
    assert (controller.state.champion, controller.state.challenger, controller.state.weight) == (None, None, 0.0)


def test_canary__student_that_fails() -> None:
    """Failures of the student's assigned requests end the rollout, though users got the teacher's answer."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.outcomes(30)
    controller.feed(
        *(controller.outcome(i, challenger_label=None, challenger_failed=True, teacher_label=None) for i in range(40))
    )

    assert controller.statuses[-1].reason == "errors"
    assert controller.state.state is RolloutState.ROLLED_BACK


def test_canary__slow_student() -> None:
    """A student slower than the limit too often is rolled back."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.outcomes(30, challenger_seconds=9.0)

    assert controller.statuses[-1].reason == "slow"


def test_canary__no_reference() -> None:
    """Without a single comparison no step is passed, however many requests were assigned: no data is not a pass."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.outcomes(30)
    controller.outcomes(200, teacher_label=None)

    assert controller.path() == ["SHADOW", "CANARY"]


def test_canary__outcomes_of_the_step_before() -> None:
    """Outcomes that routers assigned before a step began count as evidence, not for the step."""
    controller = Controller(news())
    controller.feed(nomination())
    late = [controller.outcome(100 + i) for i in range(20)]
    controller.outcomes(30)
    controller.feed(*late)

    assert controller.path() == ["SHADOW", "CANARY"]
    assert controller.state.step == 0


def test_end__not_proven_yet() -> None:
    """A rollout that lacks proof at its end is held, says why, and is promoted once the proof is there."""
    controller = Controller(news(shadow_requests=1))
    controller.feed(nomination(decision=replace(nomination().decision, plan=None)))
    controller.outcomes(1)
    for _ in range(3):
        controller.outcomes(5)
    held = controller.state
    controller.outcomes(20)

    assert (held.state, held.reason, held.weight) == (RolloutState.HOLD, "inconclusive", 1.0)
    assert controller.state.state is RolloutState.PROMOTED


def test_hold__by_a_person() -> None:
    """A person's hold keeps the weight, is not lifted by good outcomes, and ends by resume."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.outcomes(30)
    controller.feed(command(RolloutAction.HOLD))
    controller.outcomes(100)
    held = controller.state
    controller.restart()
    controller.feed(command(RolloutAction.RESUME, number=2))
    resumed = controller.state
    controller.outcomes(1)

    assert (held.state, held.weight) == (RolloutState.HOLD, 0.05)
    assert resumed.state is RolloutState.CANARY
    assert controller.state.step == 1


def test_hold__harm() -> None:
    """Guardrails go on watching while a person holds."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.feed(command(RolloutAction.HOLD))
    controller.outcomes(40, label="other")

    assert controller.state.state is RolloutState.ROLLED_BACK


def test_abort__in_flight() -> None:
    """Abort ends at weight 0 with the champion untouched, and its status names command, person and reason."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.outcomes(30)
    controller.feed(command(RolloutAction.ABORT, identity()))
    last = controller.statuses[-1]

    assert (controller.state.weight, controller.state.challenger) == (0.0, None)
    assert (last.command_id, last.actor, last.text, last.reason) == ("command-1", "ada", "because", "aborted")


def test_abort__overtaken_by_the_promotion() -> None:
    """An abort that names its rollout and arrives after the promotion undoes the promotion."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.promote()
    controller.feed(command(RolloutAction.ABORT, identity()))

    assert (controller.state.state, controller.state.champion) == (RolloutState.ROLLED_BACK, None)


def test_command__for_another_rollout() -> None:
    """A command that names another rollout changes nothing and is answered so."""
    controller = Controller(news())
    controller.feed(nomination())
    before = controller.state
    controller.feed(command(RolloutAction.ABORT, "another"))

    assert controller.state == before
    assert (controller.statuses[-1].reason, controller.statuses[-1].command_id) == ("command_ignored", "command-1")


def test_promote__forced() -> None:
    """A forced promotion is recorded with who and why, and can be undone to the former champion."""
    controller = Controller(news())
    controller.feed(nomination())
    controller.feed(command(RolloutAction.PROMOTE))
    forced, promoted = controller.statuses[-1], controller.state
    controller.feed(command(RolloutAction.UNDO, number=2))

    assert (forced.reason, forced.actor, forced.text) == ("forced", "ada", "because")
    assert promoted.champion is not None
    assert controller.state.champion is None


@pytest.mark.parametrize("outcome", [PromotionDecision.REJECT, PromotionDecision.INSUFFICIENT_EVIDENCE])
def test_nomination__not_promoted_by_the_gate(outcome: PromotionDecision) -> None:
    """A nomination the gate refused leaves one status and no state."""
    controller = Controller(news())
    controller.feed(nomination(outcome=outcome))

    assert controller.path() == ["REJECTED"]
    assert controller.statuses[0].reason == outcome.value.lower()
    assert len(controller.written) == 1


def test_nomination__newer_one_mid_rollout() -> None:
    """A newer nomination supersedes the rollout in flight and starts from shadow against the last champion."""
    controller = Controller(news())
    controller.feed(nomination(1))
    controller.outcomes(30)
    controller.feed(nomination(2))

    assert controller.path() == ["SHADOW", "CANARY", "SUPERSEDED", "SHADOW"]
    assert [status.rollout_id for status in controller.statuses[-2:]] == [identity(1), identity(2)]
    assert (controller.state.epoch, controller.state.champion, controller.state.weight) == (2, None, 0.0)


OTHERWISE = {"soak_requests": 0, "agreement_floor": 0.99, "alpha": 0.4, "slow_seconds": 0.001, "shadow_requests": 1}


@pytest.mark.parametrize("restarts", [False, True])
def test_plan__that_came_with_the_nomination__rules_whatever_the_file_says(restarts: bool) -> None:
    """Another file, and another controller that reads it, change nothing of a rollout under way: not even its soak."""
    plan: dict[str, Any] = {"soak_requests": 12, "agreement_floor": 0.6, "alpha": 0.04, "slow_seconds": 1.0}
    steady, changed = Controller(news(**plan)), Controller(news(**OTHERWISE))
    for controller in (steady, changed):
        controller.feed(planned(**plan))
        for _ in range(5):
            controller.outcomes(40)
            if restarts and controller is changed:
                controller.restart()

    assert changed.written == steady.written
    assert changed.path() == GOOD_END
    assert [status.numbers["agreement_limit"] for status in changed.statuses] == [0.6] * len(GOOD_END)


def test_plan__of_a_nomination_without_limits__takes_those_of_the_file() -> None:
    """A version before 0.2 sent steps alone: soak and limits are those of the file that the controller has."""
    controller = Controller(news(soak_requests=10, agreement_floor=0.7))
    controller.feed(nomination())
    controller.outcomes(30)
    for number in range(3):
        controller.outcomes(40, start=40 * number)
    soaking = controller.state.state
    controller.outcomes(10)

    assert (soaking, controller.state.state) == (RolloutState.PROMOTING, RolloutState.PROMOTED)
    assert {status.numbers["agreement_limit"] for status in controller.statuses} == {0.7}


def test_plan__of_a_newer_nomination__judges_nothing_of_the_rollout_it_ends() -> None:
    """The status that closes the old rollout names the limits that were its own."""
    controller = Controller(news())
    controller.feed(planned(1, agreement_floor=0.6))
    controller.outcomes(10)
    controller.feed(planned(2, agreement_floor=0.9))

    assert controller.path() == ["SHADOW", "SUPERSEDED", "SHADOW"]
    assert [status.numbers["agreement_limit"] for status in controller.statuses] == [0.6, 0.6, 0.9]


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("agreement_floor", 1.5), ("slow_limit", float("nan"))])
def test_plan__with_a_limit_that_is_none__is_refused(name: str, value: float) -> None:
    """A nomination of anybody's is held to what a workload file may say; the status names the field."""
    plan = news().rollout.plan()
    assert plan.limits is not None
    wrong = replace(plan, limits=replace(plan.limits, **{name: value}))
    controller = Controller(news())
    controller.feed(nomination(decision=replace(nomination().decision, plan=wrong)))

    (status,) = controller.statuses
    assert (status.state, status.reason) == (RolloutState.REJECTED, "plan")
    assert f"the plan's {name} = {value}: " in status.text


def test_nomination__published_again() -> None:
    """The same event again, or an older one, starts nothing."""
    controller = Controller(news())
    controller.feed(nomination(2))
    controller.feed(nomination(2), nomination(1))

    assert controller.path() == ["SHADOW"]


def test_second_rollout__paired() -> None:
    """Against a student champion a challenger that is worse where they differ is rolled back; same need no teacher."""
    controller = Controller(news())
    controller.feed(nomination(1))
    controller.promote()
    controller.feed(nomination(2))
    controller.outcomes(30, label="other", truth="other", teacher_label=None)
    shadow_passed = controller.state.state
    controller.outcomes(80, label="other", champion_label="earnings", truth="earnings")

    assert shadow_passed is RolloutState.CANARY
    assert controller.state.state is RolloutState.ROLLED_BACK
    assert controller.state.champion is not None
    assert controller.state.champion.version == "student-1"


def test_outcome__that_cannot_be_read() -> None:
    """Bytes that are no outcome become a dead letter with their place; the rollout goes on."""
    controller = Controller(news())
    settlement = asyncio.run(controller.stage.process([message(OUTCOMES, 7, b"garbage")]))
    letter = settlement.outputs[0].record

    assert isinstance(letter, DeadLetter)
    assert (letter.origin.topic, letter.origin.offset, letter.reason) == ("outcomes", 7, "bad_encoding")
