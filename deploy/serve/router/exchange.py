"""Carries out the plan of one eligible request: the students on the hot path, shadow and reference calls beside it, and
what becomes of it all in Kafka: one captured traffic record and one outcome.

Writing HTTP is server.py's; who is asked is assign.py's.
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

    async def ask_students(self, job: Exchange) -> ClientReply | None:
        """Ask the plan's students in order; None: the teacher is next."""
        for server in job.plan.servers:
            if server is None:
                return None
            judgement = await self._ask(job, server, hot=True)
            if judgement is not None:
                content = answer_for(job.workload, judgement.label)
                response = answer.completion(job.request_id, int(job.time.timestamp()), server.version, content)
                return ClientReply(
                    server, label=judgement.label, judgement=judgement, content=content, response=response,
                    version=server.version,
                )  # fmt: skip
        return None

    async def ask_teacher(self, job: Exchange) -> ClientReply:
        """Ask the teacher for a plain answer.

        Raises:
            TeacherUnreachable: none came.
        """
        began = time.monotonic()
        try:
            raw = await self.teachers[job.workload.name].chat(_plain(job.request))
        finally:
            self.waited(job, "teacher", time.monotonic() - began)
        return teacher_answer(job.workload, raw)

    def waited(self, job: Exchange, variant: str, seconds: float) -> None:
        """Count the wait for an upstream on the hot path."""
        job.waited += seconds
        metrics.UPSTREAM.labels(job.workload.name, variant).observe(seconds)

    def settle(self, job: Exchange, given: ClientReply) -> None:
        """Count the request and do the rest off the hot path: shadow, reference, capture, outcome."""
        took = time.monotonic() - job.started
        name = job.workload.name
        metrics.REQUESTS.labels(name, job.plan.assigned.lower(), served_variant(job, given), given.status).inc()
        metrics.OVERHEAD.labels(name).observe(max(0.0, took - job.waited))
        if job.fallback:
            metrics.FALLBACKS.labels(name, job.fallback).inc()
        if job.plan.aside is None and job.plan.reference is Reference.NEVER:
            self._record(job, given, took, None, None)
        elif len(self._tasks) >= self._most:
            metrics.SIDE_CALLS.labels(name, "dropped").inc()
            self._record(job, given, took, None, None)
        else:
            task = asyncio.create_task(self._beside(job, given, took))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Let calls off the hot path end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _beside(self, job: Exchange, given: ClientReply, took: float) -> None:
        aside = None
        if job.plan.aside is not None and job.plan.aside != given.server:
            aside = await self._ask(job, job.plan.aside, hot=False)
            metrics.SIDE_CALLS.labels(job.workload.name, "failed" if aside is None else "answered").inc()
        reference = None
        if given.server is not None and _wants_reference(job, given, aside):
            try:
                reference = teacher_answer(
                    job.workload, await self.teachers[job.workload.name].chat(_plain(job.request))
                )
            except TeacherUnreachable:
                metrics.SIDE_CALLS.labels(job.workload.name, "teacher_failed").inc()
        self._record(job, given, took, aside, reference)

    async def _ask(self, job: Exchange, server: ServedModel, *, hot: bool) -> Judgement | None:
        if server.version in job.failed:
            return None
        began = time.monotonic()
        try:
            return await self._students.classify(server, job.text, job.workload.rollout.student_timeout_seconds)
        except StudentFailed as failure:
            job.failed.add(server.version)
            if hot:
                job.fallback = job.fallback or failure.reason
            return None
        finally:
            job.seconds[server.version] = time.monotonic() - began
            if hot:
                variant = "challenger" if server == job.view.challenger else "champion"
                self.waited(job, variant, job.seconds[server.version])

    def _record(
        self, job: Exchange, given: ClientReply, took: float, aside: Judgement | None, reference: ClientReply | None
    ) -> None:
        teacher = given if given.server is None else reference
        teacher = teacher if teacher is not None and teacher.status == 200 and teacher.content is not None else None
        labels = _labels(job, given, aside)
        self._capture.offer(TRAFFIC, job.workload.name, _captured(job, given, teacher, labels))
        self._capture.offer(OUTCOMES, job.workload.name, _outcome(job, given, took, labels, teacher))


def teacher_answer(workload: Workload, raw: TeacherAnswer) -> ClientReply:
    """Read a teacher's response."""
    response = raw.json()
    content = answer_in(response) if response is not None else None
    label = label_in(workload, content) if content is not None else None
    version = str((response or {}).get("model") or workload.teacher.model)
    return ClientReply(None, raw.status, label, None, content, response, raw, version)


def served_variant(job: Exchange, given: ClientReply) -> str:
    """Return who answered: champion, challenger, or the teacher standing in."""
    if given.server is not None and given.server == job.view.challenger:
        return "challenger"
    return "champion" if given.server == job.view.champion else "teacher"


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in ("stream", "stream_options")}


def _wants_reference(job: Exchange, given: ClientReply, aside: Judgement | None) -> bool:
    if job.plan.reference is Reference.ON_DISAGREEMENT:
        return aside is not None and aside.label != given.label
    return job.plan.reference is Reference.ALWAYS


def _labels(job: Exchange, given: ClientReply, aside: Judgement | None) -> dict[str, str | None]:
    """Return what each student that was asked said, by its version."""
    labels: dict[str, str | None] = {}
    if aside is not None and job.plan.aside is not None:
        labels[job.plan.aside.version] = aside.label
    if given.server is not None:
        labels[given.server.version] = given.label
    return labels


def _captured(
    job: Exchange, given: ClientReply, teacher: ClientReply | None, labels: Mapping[str, str | None]
) -> TrafficRecord:
    """The request with the teacher's answer where there is one, else with the student's: never learnt from."""
    source = teacher or given
    student = source.server
    by = AnsweredBy.TEACHER if student is None else AnsweredBy.STUDENT
    by = AnsweredBy.UNKNOWN if source.content is None else by
    whole = source.response is not None and source.status == 200
    asked = teacher is not None and given.server is not None
    reason = "audit" if job.plan.audit else "disagreement" if asked else "teacher" if teacher is not None else None
    champion = job.view.champion if asked or job.plan.audit else None
    said = labels.get(champion.version) if champion is not None else None
    return TrafficRecord(
        workload=job.workload.name, event_time=job.time, id=job.request_id,
        client=job.caller.client, client_version=job.caller.version, api_key_hash=job.caller.api_key_hash,
        request=orjson.dumps(job.request).decode(), answer=source.content,
        response=orjson.dumps(source.response).decode() if whole else None,
        answered_by=by, model=source.version or None, model_digest=student.manifest_sha256 if student else None,
        audit=job.plan.audit, selection_reason=reason,
        propensity=job.plan.propensity if teacher is not None or job.plan.audit else None,
        rollout_id=job.view.rollout_id if job.view.challenger else None, variant=served_variant(job, given),
        student_label=said, student_version=champion.version if champion is not None and said is not None else None,
    )  # fmt: skip


def _outcome(
    job: Exchange, given: ClientReply, took: float, labels: Mapping[str, str | None], teacher: ClientReply | None
) -> Outcome:
    view, challenger, champion = job.view, job.view.challenger, job.view.champion
    teacher_label = teacher.label if teacher is not None else None
    served = {"champion": Variant.CHAMPION, "challenger": Variant.CHALLENGER}
    shadowed = challenger is not None and view.shadow and challenger.version in job.seconds
    return Outcome(
        request_id=job.request_id, workload=job.workload.name, text_key=job.key, latency_seconds=took, time=job.time,
        record_id=job.request_id, rollout_id=view.rollout_id if challenger else None, epoch=view.epoch,
        sequence=view.sequence, mode=OutcomeMode.SHADOW if shadowed else OutcomeMode.LIVE, assigned=job.plan.assigned,
        served=served.get(served_variant(job, given), Variant.UNKNOWN), served_version=given.version,
        fallback_reason=job.fallback, label=given.label,
        confidence=given.judgement.confidence if given.judgement else None,
        champion_label=labels.get(champion.version) if champion else teacher_label,
        challenger_label=labels.get(challenger.version) if challenger else None,
        teacher_label=teacher_label,
        champion_seconds=job.seconds.get(champion.version) if champion else None,
        challenger_seconds=job.seconds.get(challenger.version) if challenger else None,
        status=given.status, challenger_failed=challenger is not None and challenger.version in job.failed,
        audit=job.plan.audit, propensity=job.plan.propensity,
    )  # fmt: skip
