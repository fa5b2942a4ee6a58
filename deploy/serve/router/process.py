"""One router process: its parts, the tasks that keep them fresh, and its two ports. Wiring only."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp import web

from deploy.edge.privacy.redactor import redactors
from deploy.edge.process import guarded_http, logs, probes
from deploy.serve.router import metrics
from deploy.serve.router.admin import Admin
from deploy.serve.router.capture import Capture, Sink
from deploy.serve.router.exchange import Desk
from deploy.serve.router.lines import Lines
from deploy.serve.router.model_state import follow
from deploy.serve.router.routes import Public
from deploy.serve.router.settings import RouterSettings
from deploy.serve.router.students import StudentServers
from deploy.serve.router.teacher import TeacherProxy
from schemas.errors import SettingsError
from schemas.events import ModelState, RolloutState, ServedModel
from schemas.workload import Workload

_UPKEEP_SECONDS: Final = 2.0
_DRAIN_SECONDS: Final = 5.0


class Router:
    """The parts of one router process, and the tasks that keep them fresh."""

    def __init__(
        self,
        settings: RouterSettings,
        workloads: Mapping[str, Workload],
        session: aiohttp.ClientSession,
        capture: Sink,
    ) -> None:
        self.workloads, self.capture = workloads, capture
        self.lines = Lines(settings.state_dir / f"router-{settings.router_port}")
        self.students = StudentServers(
            session, settings.student_urls, settings.artefacts_dir, settings.parity_tolerance
        )
        teachers = {name: TeacherProxy(session, workload) for name, workload in workloads.items()}
        self.desk = Desk(self.lines, self.students, teachers, redactors(workloads), self.capture, settings.side_calls)
        self._changed = asyncio.Event()
        self.admin = Admin(settings, workloads, self.lines, self.students, self.capture, self.changed)
        self.public = Public(workloads, self.desk)
        self.changed()

    def apply(self, states: list[ModelState]) -> None:
        """Take over what the controller says."""
        mine = [state for state in states if state.workload in self.workloads]
        newer = [state for state in mine if self.lines.apply(state)]
        if newer:
            self.changed()

    def confirm(self) -> None:
        """Note that what is known is the newest: from now on weights may rise."""
        self.lines.confirmed = True
        self.changed()

    def changed(self) -> None:
        """Make what the lines serve known to everyone who needs it, and written soon."""
        self.students.want(_wanted(self.lines.states()))
        self._changed.set()

    async def upkeep(self) -> None:
        """For ever: write the lines after a change, send local overrides to the controller, set gauges."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _UPKEEP_SECONDS)
            if self._changed.is_set():
                self._changed.clear()
                await asyncio.to_thread(self.lines.save)
            else:
                for name in self.lines.caps():
                    self.admin.report(name)
            for name in self.workloads:
                self._gauge(name)

    def _gauge(self, name: str) -> None:
        state, view = self.lines.state(name), self.desk.view(name)
        metrics.WEIGHT.labels(name).set(view.weight if view.challenger else 0.0)
        for value in RolloutState:
            now = state.state if state else RolloutState.IDLE
            metrics.STATE.labels(name, value.value.lower()).set(value is now)
        metrics.LOADED.labels(name, "champion").set(self.students.ready(view.champion))
        metrics.LOADED.labels(name, "challenger").set(view.challenger is not None)


def _wanted(states: Mapping[str, ModelState]) -> list[ServedModel]:
    """Champion, challenger and the champion before: abort and undo need no load."""
    models = [model for state in states.values() for model in (state.champion, state.challenger, state.former)]
    return [model for model in models if model is not None]


def start(**options: object) -> None:
    """Run one router until a signal comes; options win over the environment.

    Raises:
        MillraceError: a setting or workload file cannot be used.
    """
    settings = RouterSettings.load_to_stay(**options)
    log = logs.start(settings, "router")
    workloads = settings.workloads()
    log.info("router on %s:%d for %s", settings.host, settings.router_port, ", ".join(workloads))

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await serve(settings, workloads, stop)

    asyncio.run(run())


async def serve(settings: RouterSettings, workloads: Mapping[str, Workload], stop: asyncio.Event) -> None:
    """Run one router until `stop` is set."""
    for name, workload in workloads.items():
        guarded_http.check_url(f"{name}: teacher.url", workload.teacher.url, settings.allowed_hosts)
    urls = [
        guarded_http.check_url("MILLRACE_STUDENT_URLS", url, settings.allowed_hosts) for url in settings.student_urls
    ]
    settings = settings.model_copy(update={"student_urls": urls})
    async with contextlib.AsyncExitStack() as stack:
        session = guarded_http.session(
            settings.allowed_hosts, connections=0, timeout_seconds=60.0, cookie_jar=aiohttp.DummyCookieJar()
        )
        capture = Capture(settings)
        stack.callback(capture.close)
        router = Router(settings, workloads, await stack.enter_async_context(session), capture)
        stack.callback(router.lines.close)
        stack.push_async_callback(router.desk.drain, _DRAIN_SECONDS)
        admin = await probes.serve(
            router.admin.application(lambda: None), settings.admin_host, settings.admin_port, setting="admin_port"
        )
        stack.push_async_callback(admin.cleanup)
        public = await _listen(router.public.application(settings.body_bytes), settings)
        stack.push_async_callback(public.cleanup)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(router.students.keep_loaded()),
                tasks.create_task(router.upkeep()),
                tasks.create_task(follow(settings, router.apply, router.confirm)),
            ]
            await stop.wait()
            for task in running:
                task.cancel()


async def _listen(app: web.Application, settings: RouterSettings) -> web.AppRunner:
    """Listen for traffic; a client that leaves cancels its upstream call."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.router_port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        place = f"{settings.host}:{settings.router_port}"
        raise SettingsError("MILLRACE_ROUTER_PORT", place, f"{error.strerror or error}; choose another port") from error
    return runner
