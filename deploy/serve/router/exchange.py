"""Carries out one exchange: students on the hot path, shadow and reference calls beside it, then one captured traffic
record and one outcome.

routes.py writes HTTP; assign.py decides who is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from deploy.edge.privacy.redactor import Redactor
from deploy.serve.router import answer, metrics
from deploy.serve.router.assign import CallPlan, LineView, Reference, Served, plan
from deploy.serve.router.capture import Sink
from deploy.serve.router.lines import Lines
from deploy.serve.router.students import Judgement, StudentFailed, StudentServers
from deploy.serve.router.teacher import TeacherAnswer, TeacherProxy, TeacherUnreachable
from schemas.events import ServedModel
from schemas.records import AnsweredBy, Outcome, OutcomeMode, TrafficRecord, Variant
from schemas.rules.bucketing import sticky_key
from schemas.rules.chat import FoundText, answer_for, answer_in, label_in
from schemas.rules.normalise import normalise, text_key
from schemas.topics import OUTCOMES, TRAFFIC
from schemas.workload import Workload


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as the request says."""

    client: str = ""
    version: str | None = None
    api_key_hash: str | None = None  # never the key itself


@dataclass
class Exchange:
    """One eligible request on its way."""

    workload: Workload
    request_id: str
    request: Mapping[str, Any]  # as the client sent it
    text: str  # redacted and normalised: what a student sees
    key: str
    caller: Caller
    view: LineView
    plan: CallPlan
    started: float  # monotonic
    time: datetime
    waited: float = 0.0  # seconds spent waiting for upstreams
    fallback: str | None = None
    failed: set[str] = field(default_factory=set)  # versions that failed on this request
    seconds: dict[str, float] = field(default_factory=dict)  # version -> how long it took


@dataclass(frozen=True)
class ClientReply:
    """What the client gets, or got."""

    server: Served  # None: the teacher
    status: int = 200
    label: str | None = None
    judgement: Judgement | None = None
    content: str | None = None  # the assistant's message
    response: Mapping[str, Any] | None = None  # the whole response, where it was not a stream
    raw: TeacherAnswer | None = None
    version: str = ""


class Desk:
    """Answers eligible requests of every workload."""

    def __init__(
        self,
        lines: Lines,
        students: StudentServers,
        teachers: Mapping[str, TeacherProxy],
        redactors: Mapping[str, Redactor],
        capture: Sink,
        side_calls: int,
    ) -> None:
        self._lines, self._students, self.teachers, self._redactors = lines, students, teachers, redactors
        self._capture, self._most = capture, side_calls
        self._tasks: set[asyncio.Task[None]] = set()

    def open(
        self,
        workload: Workload,
        request: Mapping[str, Any],
        found: FoundText,
        request_id: str,
        session: str | None,
        caller: Caller,
    ) -> Exchange:
        """Take in a request: clean its text, see what the line serves now, decide."""
        started, text = time.monotonic(), normalise(self._redactors[workload.name].redact(found.text).text)
        user = request.get("user")
        view = self.view(workload.name)
        sticky = sticky_key(session, user if isinstance(user, str) else None, text)
        return Exchange(
            workload=workload, request_id=request_id, request=request, text=text,
            key=text_key(workload.name, text, found.template), caller=caller, view=view,
            plan=plan(workload, view, sticky, request_id), started=started, time=datetime.now(UTC),
        )  # fmt: skip

    def view(self, workload: str) -> LineView:
        """Return what the line serves here now: a challenger that is not proven here gets nothing."""
        view = self._lines.view(workload)
        return view if self._students.ready(view.challenger) else replace(view, challenger=None)

    async def ask_students(self, exchange: Exchange) -> ClientReply | None:
        """Ask the plan's students in order; None: the teacher is next."""
        for server in exchange.plan.servers:
            if server is None:
                return None
            judgement = await self._ask(exchange, server, hot=True)
            if judgement is not None:
                content = answer_for(exchange.workload, judgement.label)
                response = answer.completion(
                    exchange.request_id, int(exchange.time.timestamp()), server.version, content
                )
                return ClientReply(
                    server, label=judgement.label, judgement=judgement, content=content, response=response,
                    version=server.version,
                )  # fmt: skip
        return None

    async def ask_teacher(self, exchange: Exchange) -> ClientReply:
        """Ask the teacher for a plain answer.

        Raises:
            TeacherUnreachable: none came.
        """
        began = time.monotonic()
        try:
            raw = await self.teachers[exchange.workload.name].chat(_plain(exchange.request))
        finally:
            self.waited(exchange, "teacher", time.monotonic() - began)
        return teacher_answer(exchange.workload, raw)

    def waited(self, exchange: Exchange, variant: str, seconds: float) -> None:
        """Count the wait for an upstream on the hot path."""
        exchange.waited += seconds
        metrics.UPSTREAM.labels(exchange.workload.name, variant).observe(seconds)

    def settle(self, exchange: Exchange, given: ClientReply) -> None:
        """Count the request and do the rest off the hot path: shadow, reference, capture, outcome."""
        took = time.monotonic() - exchange.started
        name = exchange.workload.name
        metrics.REQUESTS.labels(
            name, exchange.plan.assigned.lower(), served_variant(exchange, given), given.status
        ).inc()
        metrics.OVERHEAD.labels(name).observe(max(0.0, took - exchange.waited))
        if exchange.fallback:
            metrics.FALLBACKS.labels(name, exchange.fallback).inc()
        if exchange.plan.aside is None and exchange.plan.reference is Reference.NEVER:
            self._record(exchange, given, took, None, None)
        elif len(self._tasks) >= self._most:
            metrics.SIDE_CALLS.labels(name, "dropped").inc()
            self._record(exchange, given, took, None, None)
        else:
            task = asyncio.create_task(self._beside(exchange, given, took))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Let calls off the hot path end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _beside(self, exchange: Exchange, given: ClientReply, took: float) -> None:
        aside = None
        if exchange.plan.aside is not None and exchange.plan.aside != given.server:
            aside = await self._ask(exchange, exchange.plan.aside, hot=False)
            metrics.SIDE_CALLS.labels(exchange.workload.name, "failed" if aside is None else "answered").inc()
        reference = None
        if given.server is not None and _wants_reference(exchange, given, aside):
            try:
                reference = teacher_answer(
                    exchange.workload, await self.teachers[exchange.workload.name].chat(_plain(exchange.request))
                )
            except TeacherUnreachable:
                metrics.SIDE_CALLS.labels(exchange.workload.name, "teacher_failed").inc()
        self._record(exchange, given, took, aside, reference)

    async def _ask(self, exchange: Exchange, server: ServedModel, *, hot: bool) -> Judgement | None:
        if server.version in exchange.failed:
            return None
        limits = exchange.view.limits if server == exchange.view.challenger else None
        seconds = (limits or exchange.workload.rollout).student_timeout_seconds
        began = time.monotonic()
        try:
            return await self._students.classify(server, exchange.text, seconds)
        except StudentFailed as failure:
            exchange.failed.add(server.version)
            if hot:
                exchange.fallback = exchange.fallback or failure.reason
            return None
        finally:
            exchange.seconds[server.version] = time.monotonic() - began
            if hot:
                variant = "challenger" if server == exchange.view.challenger else "champion"
                self.waited(exchange, variant, exchange.seconds[server.version])

    def _record(
        self,
        exchange: Exchange,
        given: ClientReply,
        took: float,
        aside: Judgement | None,
        reference: ClientReply | None,
    ) -> None:
        teacher = given if given.server is None else reference
        if teacher is not None and (teacher.status != 200 or teacher.content is None):
            teacher = None
        labels = _labels(exchange, given, aside)
        self._capture.offer(TRAFFIC, exchange.workload.name, _captured(exchange, given, teacher, labels))
        self._capture.offer(OUTCOMES, exchange.workload.name, _outcome(exchange, given, took, labels, teacher))


def teacher_answer(workload: Workload, raw: TeacherAnswer) -> ClientReply:
    """Read a teacher's response."""
    response = raw.json()
    content = answer_in(response) if response is not None else None
    label = label_in(workload, content) if content is not None else None
    version = str((response or {}).get("model") or workload.teacher.model)
    return ClientReply(None, raw.status, label, None, content, response, raw, version)


def served_variant(exchange: Exchange, given: ClientReply) -> str:
    """Return who answered: champion, challenger, or the teacher standing in."""
    if given.server is not None and given.server == exchange.view.challenger:
        return "challenger"
    return "champion" if given.server == exchange.view.champion else "teacher"


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in ("stream", "stream_options")}


def _wants_reference(exchange: Exchange, given: ClientReply, aside: Judgement | None) -> bool:
    if exchange.plan.reference is Reference.ON_DISAGREEMENT:
        return aside is not None and aside.label != given.label
    return exchange.plan.reference is Reference.ALWAYS


def _labels(exchange: Exchange, given: ClientReply, aside: Judgement | None) -> dict[str, str | None]:
    """Return what each student that was asked said, by its version."""
    labels: dict[str, str | None] = {}
    if aside is not None and exchange.plan.aside is not None:
        labels[exchange.plan.aside.version] = aside.label
    if given.server is not None:
        labels[given.server.version] = given.label
    return labels


def _captured(
    exchange: Exchange, given: ClientReply, teacher: ClientReply | None, labels: Mapping[str, str | None]
) -> TrafficRecord:
    """Return the request with the teacher's answer where there is one, else with the student's: never learnt from."""
    source = teacher or given
    view, audit = exchange.view, exchange.plan.audit
    labelled = teacher is not None or audit  # the propensity is that of a teacher's label
    paired = teacher is not None and given.server is not None  # teacher and student answered the same request
    champion = view.champion if paired or audit else None
    student_label = _said_by(champion, labels)
    return TrafficRecord(
        workload=exchange.workload.name,
        event_time=exchange.time,
        id=exchange.request_id,
        client=exchange.caller.client,
        client_version=exchange.caller.version,
        api_key_hash=exchange.caller.api_key_hash,
        request=orjson.dumps(exchange.request).decode(),
        answer=source.content,
        response=_whole_response(source),
        answered_by=_answered_by(source),
        model=source.version or None,
        model_digest=source.server.manifest_sha256 if source.server else None,
        audit=audit,
        selection_reason=_selection_reason(exchange, given, teacher),
        propensity=exchange.plan.propensity if labelled else None,
        rollout_id=view.rollout_id if view.challenger else None,
        variant=served_variant(exchange, given),
        student_label=student_label,
        student_version=champion.version if champion is not None and student_label is not None else None,
    )


def _answered_by(source: ClientReply) -> AnsweredBy:
    if source.content is None:
        return AnsweredBy.UNKNOWN
    return AnsweredBy.TEACHER if source.server is None else AnsweredBy.STUDENT


def _whole_response(source: ClientReply) -> str | None:
    if source.response is None or source.status != 200:
        return None
    return orjson.dumps(source.response).decode()


def _selection_reason(exchange: Exchange, given: ClientReply, teacher: ClientReply | None) -> str | None:
    """Return why the teacher labels this request."""
    if exchange.plan.audit:
        return "audit"
    if teacher is None:
        return None
    return "disagreement" if given.server is not None else "teacher"


def _said_by(model: ServedModel | None, labels: Mapping[str, str | None]) -> str | None:
    return labels.get(model.version) if model is not None else None


def _seconds_of(model: ServedModel | None, exchange: Exchange) -> float | None:
    return exchange.seconds.get(model.version) if model is not None else None


def _outcome(
    exchange: Exchange, given: ClientReply, took: float, labels: Mapping[str, str | None], teacher: ClientReply | None
) -> Outcome:
    view, challenger, champion = exchange.view, exchange.view.challenger, exchange.view.champion
    teacher_label = teacher.label if teacher is not None else None
    served = {"champion": Variant.CHAMPION, "challenger": Variant.CHALLENGER}
    shadowed = challenger is not None and view.shadow and challenger.version in exchange.seconds
    return Outcome(
        request_id=exchange.request_id,
        workload=exchange.workload.name,
        text_key=exchange.key,
        latency_seconds=took,
        time=exchange.time,
        record_id=exchange.request_id,
        rollout_id=view.rollout_id if challenger else None,
        epoch=view.epoch,
        sequence=view.sequence,
        mode=OutcomeMode.SHADOW if shadowed else OutcomeMode.LIVE,
        assigned=exchange.plan.assigned,
        served=served.get(served_variant(exchange, given), Variant.UNKNOWN),
        served_version=given.version,
        fallback_reason=exchange.fallback,
        label=given.label,
        confidence=given.judgement.confidence if given.judgement else None,
        champion_label=_said_by(champion, labels) if champion else teacher_label,
        challenger_label=_said_by(challenger, labels),
        teacher_label=teacher_label,
        champion_seconds=_seconds_of(champion, exchange),
        challenger_seconds=_seconds_of(challenger, exchange),
        status=given.status,
        challenger_failed=challenger is not None and challenger.version in exchange.failed,
        audit=exchange.plan.audit,
        propensity=exchange.plan.propensity,
    )
