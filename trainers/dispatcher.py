"""From retrain requests to runs, and from finished runs to promotion events: `millrace dispatcher`.

The end of a run, its event and the consumed offset are one transaction. State comes from the topics and the run
folders: a dispatcher that was killed finds finished runs and publishes them, adopts running ones and starts dead ones
again. The job itself lives in another process and never needs this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from deploy.edge.process import logs, probes
from deploy.edge.process.settings import Settings
from deploy.edge.stores.object_store import ObjectStore
from schemas.errors import BadInput, ContractError, Unavailable
from schemas.events import RetrainRequest, RunState, TrainingRun
from schemas.ids import run_id
from schemas.job import JobSpec
from schemas.promotion import ModelPromotion, PromotionDecision
from schemas.rules.statistics.ceiling import check_target
from trainers import metrics
from trainers.cluster_sizes import ClusterSizes
from trainers.folder_lock import hold
from trainers.launchers.local import LocalLauncher
from trainers.launchers.protocol import JOB, Launcher
from trainers.promotion import numbered, promotion_of
from trainers.run_folder import ProgressLine, failure_in, finished_in, last_line
from trainers.settings import DispatcherSettings
from trainers.topics import ENDED, RunTopics

ATTEMPTS: Final = 3
_LOG_LINES: Final = 15
_PROGRESS_SECONDS: Final = 1.0
_STUCK_SECONDS: Final = 60.0  # without a turn of the loop: unhealthy

_log = logging.getLogger("millrace.dispatcher")


@dataclass
class Run:
    """One run that has not ended."""

    id: str
    request: RetrainRequest
    folder: Path
    partition: int
    offset: int
    started: bool = False  # STARTED of the current attempt is published
    shown: ProgressLine | None = None
    shown_at: float = 0.0


@dataclass
class Offsets:
    """Requests of each partition that are not settled: the offset to commit is before the first of them."""

    next: dict[int, int] = field(default_factory=dict)
    open: dict[int, set[int]] = field(default_factory=dict)

    def seen(self, partition: int, offset: int) -> None:
        """Note a request as read and not settled."""
        self.next[partition] = offset + 1
        self.open.setdefault(partition, set()).add(offset)

    def settled(self, partition: int, offset: int) -> dict[int, int]:
        """Note a request as settled and return what may be committed."""
        self.open[partition].discard(offset)
        return {partition: min(self.open[partition], default=self.next[partition])}


class Dispatcher:
    """Takes requests, tends runs, publishes ends."""

    def __init__(self, settings: Settings, launcher: Launcher, now: Callable[[], datetime]) -> None:
        self._launcher, self._now = launcher, now
        self._folder = settings.state_dir.resolve() / "dispatcher" / "runs"
        self._ledger, self._duplicates = RunTopics(settings), ClusterSizes(settings)
        self._runs: dict[str, Run] = {}
        self._offsets = Offsets()
        self._turned = time.monotonic()
        self.ready = False

    async def work(self, stopping: asyncio.Event) -> None:
        """Work until asked to stop; running jobs go on without us.

        Raises:
            Unavailable: the broker does not answer, or another dispatcher took over.
        """
        try:
            self._known = await self._ledger.start()
            self.ready = True
            _log.info("%d runs known, room for %d at a time", len(self._known.runs), self._launcher.capacity())
            while not stopping.is_set():
                for message in await self._ledger.poll():
                    await self._take(message)
                for run in list(self._runs.values()):
                    await self._tend(run)
                metrics.ACTIVE.set(len(self._runs))
                self._turned = time.monotonic()
        except KafkaError as error:
            raise Unavailable(f"the broker or our place in it is lost: {error}") from error
        finally:
            self._duplicates.stop()
            with contextlib.suppress(KafkaError):
                await self._ledger.stop()

    def healthy(self) -> str | None:
        """Return what is wrong, if the loop stands still."""
        still = time.monotonic() - self._turned
        return f"no turn of the loop for {still:.0f} s" if still > _STUCK_SECONDS else None

    async def _take(self, message: ConsumerRecord[bytes, bytes]) -> None:
        """A request becomes a run, unless the same run has ended or is under way."""
        self._offsets.seen(message.partition, message.offset)
        request = self._ledger.decoded(RetrainRequest, message.value)
        known = self._known.runs.get(run_id(request.request_id, request.job)) if request else None
        if request is None or (known is not None and known.state in ENDED):
            if request is None:
                _log.error("retrain-requests/%d/%d is no retrain request", message.partition, message.offset)
            await self._ledger.write([], None, self._offsets.settled(message.partition, message.offset))
            return
        identity = run_id(request.request_id, request.job)
        if identity in self._runs:
            self._offsets.settled(message.partition, message.offset)
            return
        run = Run(identity, request, self._folder / identity, message.partition, message.offset)
        run.folder.mkdir(parents=True, exist_ok=True)
        self._runs[identity] = run
        if known is None:
            await self._ledger.write([self._state(run, RunState.QUEUED)])
        if (mistake := await self._mistake(request)) is not None:
            await self._end(run, RunState.FAILED, mistake)

    async def _mistake(self, request: RetrainRequest) -> str | None:
        """Return why a job can never succeed, where that shows before it runs."""
        try:
            job = JobSpec.from_json(request.job)
        except (ValueError, TypeError, KeyError) as error:
            return f"the request holds no job specification: {error}"
        ceiling = None if job.champion else await self._ledger.ceiling(job.workload)  # a champion's gate has no floor
        if ceiling is not None:
            try:
                check_target(f"{job.workload}: gate.agreement_floor", job.gate.agreement_floor, ceiling)
            except BadInput as error:
                return str(error)
        return None

    async def _tend(self, run: Run) -> None:
        """Bring one run forward by what its folder says. Running is asked first, so that no end is missed."""
        running = self._launcher.status(run.folder)
        evidence, failure = finished_in(run.folder), failure_in(run.folder)
        if evidence is not None:
            await self._publish(run, evidence)
        elif failure is not None:
            await self._end(run, RunState.FAILED, failure)
        elif running:
            await self._show(run)
        elif self._launcher.attempts(run.folder) >= ATTEMPTS:
            last = " | ".join(self._launcher.logs(run.folder, _LOG_LINES))
            await self._end(run, RunState.FAILED, f"died {ATTEMPTS} times; last lines: {last}")
        elif self._running() < self._launcher.capacity() and self._duplicates.counted(run.folder, run.request.workload):
            (run.folder / JOB).write_text(run.request.job, encoding="utf-8")
            attempt = self._launcher.submit(run.folder)
            _log.info("run %s of %s started, attempt %d", run.id[:12], run.request.workload, attempt)
            run.started = False
            await self._show(run)

    def _running(self) -> int:
        return sum(self._launcher.status(run.folder) for run in self._runs.values())

    async def _show(self, run: Run) -> None:
        """Publish the start of an attempt once, then where it stands about once a second."""
        if not run.started:
            last = self._known.runs.get(run.id)
            run.started = True
            if last is None or last.state is RunState.QUEUED or last.attempt < self._attempt(run):
                await self._ledger.write([self._state(run, RunState.STARTED)])
        line, now = last_line(run.folder), time.monotonic()
        if line is None or line == run.shown or now - run.shown_at < _PROGRESS_SECONDS:
            return
        run.shown, run.shown_at = line, now
        metrics.show_loss(run.request.workload, line.loss)
        await self._ledger.write([
            self._state(run, RunState.PROGRESS, line.message, phase=line.phase, step=line.step, steps=line.steps,
                        loss=line.loss)
        ])  # fmt: skip

    async def _publish(self, run: Run, evidence: dict[str, Any]) -> None:
        """Publish the event of a finished run and the run's end, together, once."""
        request = run.request
        try:
            event = promotion_of(
                evidence, workload=request.workload, request_id=request.request_id, run_id=run.id, version=_version(),
                now=self._now(),
            )  # fmt: skip
        except ContractError as error:
            await self._end(run, RunState.FAILED, str(error))
            return
        line = last_line(run.folder)
        loss = None if line is None else line.loss
        sequence = self._known.sequences.get(request.workload, 0) + 1
        fresh = event.event_id not in self._known.events
        await self._end(
            run, RunState.SUCCEEDED, event.decision.outcome, numbered(event, sequence) if fresh else None,
            event_id=event.event_id, phase="done", loss=loss, numbers=_headline(event),
        )  # fmt: skip
        if fresh:
            self._known.sequences[request.workload] = sequence
            self._known.events.add(event.event_id)
        metrics.show_loss(request.workload, loss)
        metrics.show_event(event)

    async def _end(
        self, run: Run, state: RunState, message: str, event: ModelPromotion | None = None, **more: Any
    ) -> None:
        """1. the run's end, 2. its event, 3. the consumed offset: one transaction, after which the run is forgotten."""
        record = self._state(run, state, message, **more)
        await self._ledger.write([record], event, self._offsets.settled(run.partition, run.offset))
        self._known.runs[run.id] = record
        del self._runs[run.id]
        metrics.ENDED.labels(state.value.lower()).inc()
        level = logging.INFO if state is RunState.SUCCEEDED else logging.ERROR
        _log.log(level, "run %s of %s %s: %s", run.id[:12], run.request.workload, state.value.lower(), message)

    def _state(self, run: Run, state: RunState, message: str = "", **more: Any) -> TrainingRun:
        return TrainingRun(
            run_id=run.id, request_id=run.request.request_id, workload=run.request.workload, epoch=run.request.epoch,
            time=self._now(), state=state, attempt=self._attempt(run), message=message, **more,
        )  # fmt: skip

    def _attempt(self, run: Run) -> int:
        return max(1, self._launcher.attempts(run.folder))


def _headline(event: ModelPromotion) -> dict[str, float]:
    found = event.evaluation.metrics if event.evaluation else []
    numbers = {f"{one.role}_{one.name}": one.value for one in found if one.class_name is None}
    return numbers | {"promoted": float(event.decision.outcome is PromotionDecision.PROMOTE)}


def _version() -> str:
    try:
        return version("millrace")
    except PackageNotFoundError:
        return "0"


async def _serve(settings: DispatcherSettings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if settings.snapshots_url:
        ObjectStore(settings.snapshots_url)  # a mistake in it shows now, not by every run
    launcher = LocalLauncher(settings.artefacts_dir, settings.snapshots_url)
    dispatcher = Dispatcher(settings, launcher, lambda: datetime.now(UTC))
    runner = await probes.serve_probes(
        settings.host, settings.metrics_port, dispatcher.healthy,
        lambda: None if dispatcher.ready else "the topics are being read",
    )  # fmt: skip
    try:
        await dispatcher.work(stopping)
    finally:
        if runner is not None:
            await runner.cleanup()


def main() -> None:
    """Run the dispatcher until a signal comes.

    Raises:
        MillraceError: a setting cannot be used, or another dispatcher has the state folder.
    """
    settings = DispatcherSettings.load_to_stay()
    logs.start(settings, "dispatcher")
    with hold(settings.state_dir / "dispatcher"):
        asyncio.run(_serve(settings))
