"""The rollout controller: nominations, outcomes and commands in; status and model state out, in one transaction.

Its whole memory is topics: the last model state of each workload, and the outcomes read again from where the rollout
began.
Only this stage raises a weight; Kafka's fencing sees to it that there is one of it per partition.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.codec import encode
from schemas.errors import RecordRejected
from schemas.events import ModelState, RolloutCommand, RolloutState, RolloutStatus, ServedModel
from schemas.ids import rollout_id
from schemas.principals import Principal
from schemas.promotion import ModelPromotion, PromotionDecision, RolloutPlan
from schemas.records import Outcome
from schemas.sections.rollout import Rollout
from schemas.topics import MODEL_PROMOTION, MODEL_STATE, OUTCOMES, ROLLOUT_STATUS, STAGES, Topic
from schemas.workload import Workload
from streams.core.dead_letter import dead_letter_of_ours, failed
from streams.core.stage import Message, Output, Reader, Settlement
from streams.rollout import machine, metrics
from streams.rollout.guardrails import Tally, bounds, harm, numbers, proven
from streams.rollout.machine import ModelLine, Observed, Transition

log = logging.getLogger("millrace.rollout")


@dataclass
class Track:
    """What the stage knows of one workload."""

    line: ModelLine
    tally: Tally
    nomination: bytes | None = None
    nomination_sequence: int = -1
    outcomes_from: int = 0

    def fork(self) -> Track:
        """Return a copy that a batch may change."""
        return replace(self, tally=self.tally.fork())


class RolloutStage:
    """The stage; its decisions are machine.py's and guardrails.py's."""

    name = Principal.ROLLOUT
    sources: tuple[Topic, ...] = STAGES[name]
    batch_records = 500

    def __init__(
        self, settings: Settings, workloads: Mapping[str, Workload], framing: Framing = SINGLE_OBJECTS
    ) -> None:
        del settings  # the rollout stage needs none; every stage is made alike
        self._workloads, self._framing = workloads, framing
        self._tracks: dict[int, dict[str, Track]] = {}
        self._next: dict[tuple[str, int], int] = {}  # (topic, partition) -> offset to come

    def assign(self, partition: int, reader: Reader) -> None:
        """Rebuild a partition: (1) input positions, (2) each line's last state, (3) its outcomes, recounted."""
        for source in self.sources:
            self._next[source.name, partition] = reader.committed(source, partition)
        states: dict[str, ModelState] = {}
        for message in reader.read(MODEL_STATE, partition):
            if message.value is not None:
                state = self._framing.decode(ModelState, message.value)
                states[state.workload] = state
        tracks = {name: self._track(state) for name, state in states.items() if name in self._workloads}
        running = {name: track for name, track in tracks.items() if track.line.in_flight}
        if running:
            end = self._next[OUTCOMES.name, partition]
            start = min(track.outcomes_from for track in running.values())
            for message in reader.read(OUTCOMES, partition, start):
                if message.offset >= end:
                    break
                self._recount(running, message)
        for track in tracks.values():
            track.tally.merge()
        self._tracks[partition] = tracks
        for name, track in tracks.items():
            self._show(name, track)

    def revoke(self, partition: int) -> None:
        """Forget a partition that went elsewhere."""
        for name in self._tracks.pop(partition, {}):
            metrics.forget(name)

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Turn nominations, outcomes and commands into transitions."""
        batch = _OutcomeBatch(self._workloads, self._framing, self._tracks, dict(self._next))
        for message in messages:
            batch.take(message)
        return self._settlement(batch)

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Put a message that cannot be processed aside."""
        return Settlement([dead_letter_of_ours(message, self.name, failed(error), self._framing, attempts)])

    async def tick(self, now: datetime) -> dict[int, Settlement]:  # noqa: ARG002 - the clock moves nothing
        """Nothing is due by the clock: no data is no reason to move."""
        return {}

    def _settlement(self, batch: _OutcomeBatch) -> Settlement:
        def committed() -> None:
            self._next = batch.next
            for (partition, name), track in batch.changed.items():
                track.tally.merge()
                self._tracks.setdefault(partition, {})[name] = track
                self._show(name, track)
            for reason in batch.transitions:
                metrics.TRANSITIONS.labels(*reason).inc()

        return Settlement(outputs=batch.outputs, committed=committed)

    def _track(self, state: ModelState) -> Track:
        event = self._framing.decode(ModelPromotion, state.nomination) if state.nomination else None
        workload = self._workloads[state.workload]
        line = ModelLine(
            epoch=state.epoch, sequence=state.sequence, state=state.state, reason=state.reason,
            rollout_id=state.rollout_id, champion=state.champion, challenger=state.challenger, former=state.former,
            step=state.step, step_sequence=state.step_sequence, plan=plan_in_force(event, workload),
        )  # fmt: skip
        return Track(
            line, Tally(paired=state.champion is not None), state.nomination, event.sequence if event else -1,
            state.outcomes_from,
        )  # fmt: skip

    def _recount(self, running: Mapping[str, Track], message: Message) -> None:
        try:
            outcome = self._framing.decode(Outcome, message.value or b"")
        except RecordRejected:
            return
        track = running.get(outcome.workload)
        if track is not None:
            _count(track, outcome)

    def _show(self, name: str, track: Track) -> None:
        found = bounds(track.tally, track.line.limits) if track.line.in_flight else []
        metrics.show(name, track.line.state, found)


class _OutcomeBatch:
    """One batch on its way: forks of the tracks it touches, and what it writes."""

    def __init__(
        self,
        workloads: Mapping[str, Workload],
        framing: Framing,
        tracks: Mapping[int, Mapping[str, Track]],
        following: dict[tuple[str, int], int],
    ) -> None:
        self._workloads, self._framing, self._tracks = workloads, framing, tracks
        self.next = following
        self.changed: dict[tuple[int, str], Track] = {}
        self.outputs: list[Output] = []
        self.transitions: list[tuple[str, str, str]] = []

    def take(self, message: Message) -> None:
        """Process one message; what cannot be read becomes a dead letter."""
        self.next[message.topic.name, message.partition] = message.offset + 1
        try:
            if message.topic is OUTCOMES:
                self._outcome(message, self._framing.decode(Outcome, message.value or b""))
            elif message.topic is MODEL_PROMOTION:
                self._nomination(message, self._framing.decode(ModelPromotion, message.value or b""))
            else:
                self._command(message, self._framing.decode(RolloutCommand, message.value or b""))
        except RecordRejected as error:
            self.outputs.append(dead_letter_of_ours(message, RolloutStage.name, error, self._framing))

    def _outcome(self, message: Message, outcome: Outcome) -> None:
        known = self._find(message.partition, outcome.workload)
        if known is None or not known.line.in_flight or outcome.rollout_id != known.line.rollout_id:
            return
        track = self._open(message.partition, outcome.workload)
        limits = track.line.limits
        _count(track, outcome)
        seen = Observed(
            shadowed=track.tally.shadowed, assigned=track.tally.assigned, witnessed=track.tally.witnessed,
            harm=harm(track.tally, limits), proven=proven(track.tally, limits),
        )  # fmt: skip
        self._write(message, outcome.workload, track, machine.observe(track.line, seen))

    def _nomination(self, message: Message, event: ModelPromotion) -> None:
        name = event.model_line
        if name not in self._workloads:
            log.warning("a nomination for %s, which no workload file names", name)
            return
        track = self._open(message.partition, name)
        identity = rollout_id(event.event_id)
        if identity == track.line.rollout_id or event.sequence <= track.nomination_sequence:
            return  # published again, or overtaken
        wrong = refusal(event, self._workloads[name], message.appended)
        if wrong is not None:
            self._status(message, name, track, RolloutState.REJECTED, *wrong, event=event)
            return
        # As a single object: whoever reads the state needs no registry to read what it rests on.
        track.nomination, track.nomination_sequence = encode(event), event.sequence
        track.outcomes_from = self.next.get((OUTCOMES.name, message.partition), 0)
        plan = plan_in_force(event, self._workloads[name])
        self._write(message, name, track, machine.nominate(track.line, identity, served(event), plan), event=event)

    def _command(self, message: Message, command: RolloutCommand) -> None:
        name = command.workload
        if name not in self._workloads:
            log.warning("a command for %s, which no workload file names", name)
            return
        track = self._open(message.partition, name)
        done = machine.command(track.line, command.action, command.rollout_id)
        if done:
            self._write(message, name, track, done, command=command)
        else:
            state, action = track.line.state, command.action.value.lower()
            now = "has no rollout" if state == RolloutState.IDLE else f"is {state.value.lower().replace('_', ' ')}"
            text = f"{action} does not fit: {name} {now}"
            self._status(message, name, track, track.line.state, "command_ignored", text, command=command)

    def _write(
        self, message: Message, name: str, track: Track, done: Sequence[Transition],
        *, event: ModelPromotion | None = None, command: RolloutCommand | None = None,
    ) -> None:  # fmt: skip
        if not done:
            return
        before = track.line
        for transition in done:
            if transition.line.epoch != track.line.epoch:
                track.tally = Tally(paired=transition.line.champion is not None)
            track.line = transition.line
            text = command.why if command is not None else transition.text
            self._status(
                message, name, track, transition.line.state, transition.reason, text, previous=transition.previous,
                event=event, command=command, challenger=before.challenger,
            )  # fmt: skip
            self.transitions.append((name, transition.previous.value.lower(), transition.line.state.value.lower()))
        if (before.epoch, before.step) != (
            track.line.epoch,
            track.line.step,
        ) or track.line.state is RolloutState.PROMOTING:
            track.tally.new_step()
        state = _state(name, track, message.appended, self._positions(message.partition))
        self.outputs.append(Output(MODEL_STATE, message.partition, name, state))

    def _status(
        self, message: Message, name: str, track: Track, state: RolloutState, reason: str, text: str,
        *, previous: RolloutState | None = None, event: ModelPromotion | None = None,
        command: RolloutCommand | None = None, challenger: ServedModel | None = None,
    ) -> None:  # fmt: skip
        line, refused = track.line, state is RolloutState.REJECTED
        model = line.challenger or challenger
        status = RolloutStatus(
            workload=name, rollout_id=rollout_id(event.event_id) if event and refused else line.rollout_id or "",
            epoch=line.epoch, sequence=line.sequence, reason=reason, time=message.appended, state=state,
            previous=line.state if previous is None else previous, step=line.step, weight=line.weight, text=text,
            numbers=numbers(bounds(track.tally, line.limits), track.tally),
            champion=line.champion.version if line.champion else None,
            challenger=event.model_version if event and refused else model.version if model else None,
            promotion_event_id=event.event_id if event else None, actor=command.who if command else "controller",
            command_id=command.command_id if command else None,
        )  # fmt: skip
        self.outputs.append(Output(ROLLOUT_STATUS, message.partition, name, status))

    def _find(self, partition: int, name: str) -> Track | None:
        return self.changed.get((partition, name)) or self._tracks.get(partition, {}).get(name)

    def _open(self, partition: int, name: str) -> Track:
        if (partition, name) not in self.changed:
            known = self._tracks.get(partition, {}).get(name)
            idle = ModelLine(plan=self._workloads[name].rollout.plan())
            self.changed[partition, name] = known.fork() if known else Track(idle, Tally(paired=False))
        return self.changed[partition, name]

    def _positions(self, partition: int) -> dict[str, int]:
        return {f"{topic}/{number}": offset for (topic, number), offset in self.next.items() if number == partition}


def served(event: ModelPromotion) -> ServedModel:
    """Return what routers need of a nomination that `refusal` let through."""
    artifact = event.artifact
    if artifact is None:
        raise ValueError("a nomination without an artifact")
    return ServedModel(
        version=event.model_version, uri=artifact.adapter_uri, manifest_sha256=artifact.manifest_sha256,
        base_model=event.base_model.id, labels=event.labels, max_tokens=artifact.max_tokens,
    )  # fmt: skip


def plan_in_force(event: ModelPromotion | None, workload: Workload) -> RolloutPlan:
    """Return the plan that came with the nomination, whatever the workload's file says by now.

    One that came without is today's file's; of one that came without limits, by a version that sent none, limits and
    soak are.
    """
    given, own = event.decision.plan if event else None, workload.rollout.plan()
    if given is None or not given.steps_percent:
        return own
    return given if given.limits else replace(given, soak_requests=own.soak_requests, limits=own.limits)


def refusal(event: ModelPromotion, workload: Workload, now: datetime) -> tuple[str, str] | None:
    """Return why a nomination may not start a rollout, as a code and a sentence, or None."""
    decision = event.decision
    if decision.outcome is not PromotionDecision.PROMOTE:
        reasons = "; ".join(reason.text for reason in decision.reasons)
        return decision.outcome.value.lower(), reasons or "the gate did not promote it"
    if event.artifact is None:
        return "no_artifact", "the nomination names no artefact"
    if sorted(event.labels) != sorted(workload.labels):
        return "labels", "the student's labels are not the workload's"
    if decision.expires_at is not None and decision.expires_at <= now:
        return "expired", f"the nomination expired at {decision.expires_at.isoformat()}"
    wrong = _wrong_plan(decision.plan) if decision.plan else None
    return ("plan", wrong) if wrong else None


def _wrong_plan(plan: RolloutPlan) -> str | None:
    steps = plan.steps_percent
    if steps and (steps != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] <= 100):
        return "the plan's steps must rise within 1 to 100 per cent"
    values = {"soak_requests": plan.soak_requests} | (asdict(plan.limits) if plan.limits else {})
    try:
        Rollout.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        return f"the plan's {first['loc'][0]} = {first['input']}: {first['msg']}"
    return None


def _count(track: Track, outcome: Outcome) -> None:
    if outcome.rollout_id == track.line.rollout_id:
        in_step = outcome.sequence >= track.line.step_sequence
        track.tally.add(outcome, track.line.limits.slow_seconds, in_step=in_step)


def _state(name: str, track: Track, now: datetime, positions: dict[str, int]) -> ModelState:
    line = track.line
    return ModelState(
        workload=name, epoch=line.epoch, sequence=line.sequence, time=now, state=line.state, rollout_id=line.rollout_id,
        champion=line.champion, challenger=line.challenger, weight=line.weight, step=line.step, shadow=line.shadow,
        nomination=track.nomination, positions=positions, former=line.former, reason=line.reason,
        step_sequence=line.step_sequence, outcomes_from=track.outcomes_from,
    )  # fmt: skip
