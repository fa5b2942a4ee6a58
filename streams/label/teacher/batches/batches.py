"""One workload's batches: requests in, the answer to each out, whichever batch it is in.

A request joins those that wait (gathering.py) and goes with them; the batch is polled until it has ended, and each
request takes its line. Before the first request after an assignment the endpoint's batches of this
workload are read: a request that is in one of them waits for that, so that a worker that dies asks nothing twice.
While the endpoint is away nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, ParamSpec, TypeVar

from schemas.errors import SettingsError
from schemas.workload import Workload
from streams.label.metrics import BATCHES, IN_BATCHES
from streams.label.teacher.batches import form
from streams.label.teacher.batches.endpoint import Away, BatchEndpoint, TooMuch
from streams.label.teacher.batches.form import AnswerLine, BatchStatus
from streams.label.teacher.batches.gathering import BatchRequest, Gathering
from streams.label.teacher.client import TeacherClient

LOG: Final = logging.getLogger("millrace.label.batches")
FIRST_LOOK_SECONDS: Final = 10.0  # after a batch was sent; each later look half as long again
LONGEST_LOOK_SECONDS: Final = 300.0
BUDGET_LOOK_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 48 * 3600  # batches end within 24 hours; those made earlier hold nothing that is still wanted

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Sent:
    """A batch at the endpoint: the requests in it, and its answers once it has ended."""

    id: str
    requests: list[BatchRequest] = field(default_factory=list)
    lines: dict[str, AnswerLine] | None = None


class TeacherBatches:
    """The requests of one workload that wait, and the batches they are in."""

    def __init__(self, workload: Workload, live: TeacherClient) -> None:
        """Share the budget and the access of the client that asks call by call."""
        self._name = workload.name
        self._live = live
        self._field = f"{live.access.field}.batch"
        self._endpoint = BatchEndpoint(live.access, workload.teacher.timeout_seconds)
        self._records = workload.teacher.batch.records
        self._owner = form.owner(workload)
        self.answered = self.failed = 0  # lines of batches that ended
        self._start()

    def _start(self) -> None:
        self._gathering = Gathering(self._records)
        self._waiting: set[BatchRequest] = set()
        self._open: set[_Sent] = set()
        self._known: dict[str, _Sent] = {}  # by custom id: sent before the assignment, not asked for since
        self._pause = 0.0  # before the next batch, while none is answered
        self._not_before = 0.0  # monotonic
        self._joined = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sender: asyncio.Task[None] | None = None
        self._finder: asyncio.Task[None] | None = None

    async def line(self, own: str, data: bytes) -> AnswerLine | None:
        """Wait for the answer to a request, by its custom id; None: its batch ended without it.

        Raises:
            SettingsError: the endpoint takes no batches, or not with this key.
        """
        if self._finder is None:
            self._finder = self._begin(self._find())
        await asyncio.shield(self._finder)
        known = self._known.pop(own, None)
        if known is not None and known.lines is not None:
            return known.lines.pop(own, None)
        request = BatchRequest(own, data)
        self._waiting.add(request)
        if known is None:
            self._join([request])
        else:
            self._wait_in(known, [request])
        try:
            return await request.line
        finally:
            self._waiting.discard(request)
            self._gathering.leave(request)
            self._count([request], sent=False)

    def forget(self) -> None:
        """Drop everything: the partition moved to another worker. What is at the endpoint will be found there."""
        for task in self._tasks:
            task.cancel()
        self._start()
        self._show_open()

    async def close(self) -> None:
        """End what is under way here; what is at the endpoint goes on."""
        tasks = list(self._tasks)
        self.forget()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _join(self, requests: Iterable[BatchRequest]) -> None:
        for request in requests:
            self._gathering.join(request, time.monotonic())
        self._joined.set()
        if self._sender is None or self._sender.done():
            self._sender = self._begin(self._send_all())

    def _wait_in(self, sent: _Sent, requests: Iterable[BatchRequest]) -> None:
        """Let requests take their lines from a batch, once it has ended."""
        asked = [request for request in requests if not request.line.done()]
        self._count(asked, sent=True)
        sent.requests += asked
        if sent not in self._open:
            self._open.add(sent)
            self._show_open()
            self._begin(self._watch(sent))

    def _close(self, sent: _Sent) -> None:
        self._open.discard(sent)
        self._show_open()

    async def _find(self) -> None:
        """Read which requests are in batches that this workload sent before."""
        for status in await self._listed():
            if not status.is_of(self._owner):
                continue
            sent = _Sent(status.id)
            content = await _persist(self._endpoint.content, status.input_file)
            for own in await asyncio.to_thread(form.custom_ids, content):
                self._known.setdefault(own, sent)
        if self._known:
            LOG.info("%s: %d requests are in batches sent before", self._name, len(self._known))

    async def _listed(self) -> list[BatchStatus]:
        since = time.time() - KEPT_SECONDS
        return await _persist(self._endpoint.batches, since)

    async def _send_all(self) -> None:
        """Send what waits, batch by batch, each when it is due and the budget has room for some of it."""
        while (seconds := self._gathering.due(time.monotonic())) is not None:
            seconds = max(seconds, self._not_before - time.monotonic())
            if seconds > 0:
                self._joined.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._joined.wait()
                continue
            requests = self._gathering.take(self._live.room)
            if requests:
                await self._send(requests)
            else:
                await asyncio.sleep(BUDGET_LOOK_SECONDS)

    async def _send(self, requests: list[BatchRequest]) -> None:
        self._count(requests, sent=True)
        data = b"".join(request.data for request in requests)
        try:
            status = await self._create(await _persist(self._endpoint.upload, data))
        except TooMuch as error:
            self._return(requests, str(error), smaller=True)
            return
        LOG.info("%s: batch %s holds %d requests", self._name, status.id, len(requests))
        self._wait_in(_Sent(status.id), requests)

    async def _create(self, file: str) -> BatchStatus:
        """Make a batch, once: where no answer came it may be there nevertheless."""
        for seconds in _looks():
            try:
                return await self._endpoint.create(file, self._owner)
            except Away:
                await asyncio.sleep(seconds)
            found = next((status for status in await self._listed() if status.input_file == file), None)
            if found is not None:
                return found
        raise AssertionError

    async def _watch(self, sent: _Sent) -> None:
        """Look at a batch until it has ended, and give each request its line."""
        status: BatchStatus | None = None
        for seconds in _looks():
            status = await _persist(self._endpoint.batch, sent.id)
            if status is None or status.ended:
                break
            await asyncio.sleep(seconds)
        if status is not None and status.status == form.FAILED:
            self._failed(sent, status)
            return
        lines: dict[str, AnswerLine] = {}
        for file in status.answer_files if status else ():
            content = await _persist(self._endpoint.content, file)
            lines |= await asyncio.to_thread(form.answers, content)
        self._close(sent)
        self._judge(sent, lines)
        sent.lines = lines
        for request in sent.requests:
            if not request.line.done():
                request.line.set_result(lines.pop(request.custom_id, None))

    def _judge(self, sent: _Sent, lines: dict[str, AnswerLine]) -> None:
        """Learn from a batch that ended; after one that answered nobody the next waits."""
        answered = sum(line.status == 200 for line in lines.values())
        self.answered += answered
        self.failed += max(len(sent.requests), len(lines)) - answered
        if answered:
            self._pause = 0.0
            self._gathering.grow()
        else:
            self._pause = min(max(2 * self._pause, FIRST_LOOK_SECONDS), LONGEST_LOOK_SECONDS)
            self._not_before = time.monotonic() + self._pause
            LOG.warning("%s: batch %s answered nobody; the next goes in %.0f s", self._name, sent.id, self._pause)

    def _failed(self, sent: _Sent, status: BatchStatus) -> None:
        """Send the requests of a batch that was not begun again, where it was queued behind others.

        Raises:
            SettingsError: it was not begun for another reason.
        """
        said = ", ".join(filter(None, status.errors)) or "no code"
        if not any("limit" in code for code in status.errors):
            raise SettingsError(
                self._field, sent.id, f"the endpoint refused the batch ({said}) and says why in its list"
            )
        self._close(sent)
        self._not_before = time.monotonic() + LONGEST_LOOK_SECONDS
        self._return(sent.requests, said, smaller=not self._open)  # beside others there may only be no room now

    def _return(self, requests: list[BatchRequest], why: str, *, smaller: bool) -> None:
        """Let requests wait for another batch.

        Raises:
            SettingsError: a smaller one is needed than one of a single request.
        """
        if smaller:
            if len(requests) == 1:
                raise SettingsError(self._field, 1, f"no batch is small enough: {why}")
            self._gathering.shrink(len(requests))
        LOG.warning("%s: a batch of %d is sent again: %s", self._name, len(requests), why)
        self._count(requests, sent=False)
        self._join(request for request in requests if not request.line.done())

    def _count(self, requests: Iterable[BatchRequest], *, sent: bool) -> None:
        """Keep the budget's count of requests that wait in batches."""
        for request in requests:
            self._live.budget.in_batches += sent - request.sent
            request.sent = sent
        IN_BATCHES.labels(self._name).set(self._live.budget.in_batches)

    def _show_open(self) -> None:
        BATCHES.labels(self._name).set(len(self._open))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Pass the error of a task that failed to every request: none can be answered."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for request in self._waiting:
                if not request.line.done():
                    request.line.set_exception(error)


async def _persist(call: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs) -> T:
    """Return what the endpoint says, however long it is away."""
    for seconds in _looks():
        try:
            return await call(*arguments, **named)
        except Away as error:
            LOG.warning("batches: %s; tried again in %.0f s", error, seconds)
        await asyncio.sleep(seconds)
    raise AssertionError


def _looks() -> Iterator[float]:
    """Yield the seconds between looks, without end."""
    seconds = FIRST_LOOK_SECONDS
    while True:
        yield seconds
        seconds = min(1.5 * seconds, LONGEST_LOOK_SECONDS)
