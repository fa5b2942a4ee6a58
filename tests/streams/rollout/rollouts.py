"""Nominations, outcomes and a driver that settles batches as the source does, for tests of the controller."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.edge.process.settings import Settings
from schemas.events import ModelState, RolloutAction, RolloutCommand, RolloutStatus
from schemas.ids import rollout_id
from schemas.promotion import Artifact, BaseModel, Decision, ModelPromotion, PromotionDecision, RolloutPlan
from schemas.records import Outcome, OutcomeMode, Record, Variant
from schemas.topics import MODEL_PROMOTION, MODEL_STATE, OUTCOMES, ROLLOUT_COMMANDS, Topic
from schemas.workload import Workload
from streams.core.stage import Message
from streams.rollout.stage import RolloutStage
from tests.streams.doubles import NAME, PARTITION, MemoryReader, message

LABELS = ["earnings", "mergers", "other"]
TIME = datetime(2026, 1, 1, tzinfo=UTC)


def news(**rollout: Any) -> Workload:
    """Return a workload with a short rollout."""
    limits = {"shadow_requests": 30, "assigned_per_step": 5, "steps_percent": [5, 50, 100]} | rollout
    return Workload.model_validate({"name": NAME, "labels": LABELS, "rollout": limits})


def nomination(
    number: int = 1, outcome: PromotionDecision = PromotionDecision.PROMOTE, **fields: Any
) -> ModelPromotion:
    """Return a nomination whose plan is the workload's."""
    plan = RolloutPlan(shadow_requests=30, steps_percent=[5, 50, 100], assigned_per_step=5)
    values: dict[str, Any] = {
        "event_id": f"event-{number}", "event_time": TIME, "recorded_time": TIME, "sequence": number,
        "model_line": NAME, "model_id": NAME, "model_version": f"student-{number}", "labels": LABELS,
        "base_model": BaseModel(id="base"), "decision": Decision(outcome=outcome, plan=plan),
        "artifact": Artifact(adapter_uri=f"adapters/{number}", files=[], manifest_sha256=f"digest-{number}"),
    }  # fmt: skip
    return ModelPromotion(**values | fields)


def planned(number: int = 1, **rollout: Any) -> ModelPromotion:
    """Return a nomination that brings all of a workload's plan along."""
    plan = news(**rollout).rollout.plan()
    return nomination(number, decision=Decision(outcome=PromotionDecision.PROMOTE, plan=plan))


def command(action: RolloutAction, rollout: str | None = None, number: int = 1) -> RolloutCommand:
    """Return a person's command."""
    return RolloutCommand(
        command_id=f"command-{number}", workload=NAME, who="ada", why="because", time=TIME, rollout_id=rollout,
        action=action,
    )  # fmt: skip


@dataclass
class Controller:
    """A stage with topics in memory: what it writes can be read back, and it can be started anew."""

    workload: Workload
    written: list[tuple[Topic, Record]] = field(default_factory=list)
    inputs: dict[Topic, list[Message]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stage = self.started()

    def started(self) -> RolloutStage:
        """Return a fresh stage that has rebuilt itself from the topics."""
        stage = RolloutStage(Settings(), {NAME: self.workload})
        states = [record for topic, record in self.written if topic is MODEL_STATE]
        messages = {MODEL_STATE: [message(MODEL_STATE, i, record) for i, record in enumerate(states)]} | self.inputs
        offsets = {topic: len(found) for topic, found in self.inputs.items()}
        stage.assign(PARTITION, MemoryReader(messages, offsets))
        return stage

    def restart(self) -> None:
        """Die and come back."""
        self.stage = self.started()

    def feed(self, *records: Record, commit: bool = True) -> None:
        """Give the stage one batch and settle it."""
        batch = [self._message(record, commit=commit) for record in records]
        settlement = asyncio.run(self.stage.process(batch))
        if not commit:
            settlement.aborted()
            return
        self.written += [(output.topic, output.record) for output in settlement.outputs]
        settlement.committed()

    def outcomes(
        self, count: int, label: str = "earnings", truth: str = "earnings", start: int = 0, **fields: Any
    ) -> None:
        """Feed that many outcomes of the current rollout, in one batch."""
        self.feed(*(self.outcome(start + i, label, truth, **fields) for i in range(count)))

    def outcome(self, number: int, label: str = "earnings", truth: str = "earnings", **fields: Any) -> Outcome:
        """Return what a router that follows the newest state would report."""
        state = self.state
        challenged = not state.shadow
        values: dict[str, Any] = {
            "request_id": f"r{state.sequence}-{number}", "workload": NAME, "text_key": f"t{state.sequence}-{number}",
            "latency_seconds": 0.01, "time": TIME, "rollout_id": state.rollout_id, "epoch": state.epoch,
            "sequence": state.sequence, "mode": OutcomeMode.LIVE if challenged else OutcomeMode.SHADOW,
            "assigned": Variant.CHALLENGER if challenged else Variant.CHAMPION, "challenger_label": label,
            "champion_label": truth, "teacher_label": truth, "challenger_seconds": 0.01,
        }  # fmt: skip
        return Outcome(**values | fields)

    def promote(self) -> None:
        """Bring the rollout in flight to its good end."""
        for _ in range(4):
            self.outcomes(40)

    @property
    def state(self) -> ModelState:
        """Return the newest model state."""
        return [record for _, record in self.written if isinstance(record, ModelState)][-1]

    @property
    def statuses(self) -> list[RolloutStatus]:
        """Return every status."""
        return [record for _, record in self.written if isinstance(record, RolloutStatus)]

    def path(self) -> list[str]:
        """Return the states the rollout went through."""
        return [status.state.value for status in self.statuses]

    def _message(self, record: Record, *, commit: bool) -> Message:
        topic = {ModelPromotion: MODEL_PROMOTION, Outcome: OUTCOMES, RolloutCommand: ROLLOUT_COMMANDS}[type(record)]
        log = self.inputs.setdefault(topic, [])
        found = message(topic, len(log), record)
        if commit:
            log.append(found)
        return found


def identity(number: int = 1) -> str:
    """Return the rollout id of a nomination."""
    return rollout_id(f"event-{number}")


def states(records: Sequence[RolloutStatus]) -> list[str]:
    """Return the states of statuses."""
    return [record.state.value for record in records]
