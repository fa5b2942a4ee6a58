"""The router's admin routes: see the rollouts, and lower them at once, with Kafka and metrics down.

A person can only lower here: abort and hold act in memory, are fsynced, then acknowledged, then sent to the controller.
Served on its own port with the probes; on loopback, or with a token.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import orjson
from aiohttp import web

from deploy.edge.process import probes
from deploy.serve.router.capture import Sink
from deploy.serve.router.lines import Cap, CapKind, Lines
from deploy.serve.router.settings import RouterSettings
from deploy.serve.router.students import StudentServers
from schemas.errors import SettingsError
from schemas.events import ModelState, RolloutAction, RolloutCommand, RolloutState
from schemas.topics import ROLLOUT_COMMANDS
from schemas.workload import Workload

_LOWERABLE: Final = (RolloutState.SHADOW, RolloutState.CANARY, RolloutState.HOLD, RolloutState.PROMOTING)
_ACTIONS: Final = {"abort": RolloutAction.ABORT, "hold": RolloutAction.HOLD}


class Admin:
    """Handlers of the admin port."""

    def __init__(
        self,
        settings: RouterSettings,
        workloads: Mapping[str, Workload],
        lines: Lines,
        students: StudentServers,
        capture: Sink,
        changed: Callable[[], None],
    ) -> None:
        self._settings, self._workloads, self._lines = settings, workloads, lines
        self._students, self._capture, self._changed = students, capture, changed
        self._token = (
            sha256(settings.admin_token.get_secret_value().encode()).digest() if settings.admin_token else None
        )
        if self._token is None and not _is_loopback(settings.admin_host):
            raise SettingsError(
                "MILLRACE_ADMIN_HOST", settings.admin_host, "outside loopback the admin port needs MILLRACE_ADMIN_TOKEN"
            )

    def application(self, ready: probes.Check) -> web.Application:
        """Return the application of the admin port, probes included."""
        app = web.Application(client_max_size=10_000, middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/rollouts", self.show),
                web.post("/rollouts/{workload}/{action:abort|hold}", self.lower),
                web.post("/rollouts/{workload}/resume", self.resume),
            ]
        )
        probes.add_routes(app, lambda: None, ready)
        return app

    async def show(self, _: web.Request) -> web.Response:
        """Return every line as this router serves it."""
        lines = {name: self._shown(name) for name in self._workloads}
        return _answer(200, {"confirmed": self._lines.confirmed, "lines": lines})

    async def lower(self, request: web.Request) -> web.Response:
        """Abort or hold a rollout here, at once."""
        workload = request.match_info["workload"]
        kind = CapKind(request.match_info["action"])
        state = self._lines.state(workload)
        if workload not in self._workloads:
            return _answer(404, {"error": f"no workload {workload}"})
        if state is None or state.rollout_id is None or not _may_lower(state, kind):
            return _answer(409, {"error": "no rollout is under way here", "line": self._shown(workload)})
        who, why = await _said(request)
        weight = 0.0 if kind is CapKind.ABORT else self._lines.view(workload).weight
        now = datetime.now(UTC)
        cap = Cap(kind, state.rollout_id, weight, uuid.uuid4().hex, who, why, now.isoformat())
        self._lines.lower(workload, cap)
        self._changed()
        await asyncio.to_thread(self._lines.save)
        self.report(workload)
        return _answer(200, {"acknowledged": True, "command_id": cap.command_id, "line": self._shown(workload)})

    async def resume(self, request: web.Request) -> web.Response:
        """Lift a local hold; the weight rises again only as the controller says."""
        workload = request.match_info["workload"]
        if workload not in self._workloads:
            return _answer(404, {"error": f"no workload {workload}"})
        cap = self._lines.cap(workload)
        if not self._lines.release(workload) or cap is None:
            return _answer(409, {"error": "no local hold to lift", "line": self._shown(workload)})
        who, why = await _said(request)
        self._changed()
        await asyncio.to_thread(self._lines.save)
        command = RolloutCommand(
            command_id=uuid.uuid4().hex, workload=workload, who=who, why=why, time=datetime.now(UTC),
            rollout_id=cap.rollout_id, action=RolloutAction.RESUME,
        )  # fmt: skip
        self._capture.offer(ROLLOUT_COMMANDS, workload, command)
        return _answer(200, {"acknowledged": True, "command_id": command.command_id, "line": self._shown(workload)})

    def report(self, workload: str) -> None:
        """Send the controller a local override that it does not know yet."""
        cap = self._lines.cap(workload)
        if cap is None or cap.acknowledged:
            return
        command = RolloutCommand(
            command_id=cap.command_id, workload=workload, who=cap.who, why=cap.why,
            time=datetime.fromisoformat(cap.time), rollout_id=cap.rollout_id, action=_ACTIONS[cap.kind],
        )  # fmt: skip
        loop = asyncio.get_running_loop()

        def delivered() -> None:
            loop.call_soon_threadsafe(self._lines.acknowledge, workload, cap.command_id)
            loop.call_soon_threadsafe(self._changed)

        self._capture.offer(ROLLOUT_COMMANDS, workload, command, delivered)

    def _shown(self, workload: str) -> dict[str, Any]:
        state, cap, view = self._lines.state(workload), self._lines.cap(workload), self._lines.view(workload)
        return {
            "state": (state.state if state else RolloutState.IDLE).value,
            "epoch": view.epoch,
            "sequence": view.sequence,
            "rollout_id": view.rollout_id,
            "champion": view.champion.version if view.champion else None,
            "challenger": view.challenger.version if view.challenger else None,
            "challenger_ready": view.challenger is not None and self._students.ready(view.challenger),
            "champion_ready": self._students.ready(view.champion),
            "weight": view.weight,
            "shadow": view.shadow,
            "cap": {"kind": cap.kind.value, "weight": cap.weight, "told": cap.acknowledged} if cap else None,
        }

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Let probes through; ask the rest for the token, and refuse what a web page may have sent."""
        if request.path.startswith("/rollouts"):
            if "Origin" in request.headers:
                return _answer(403, {"error": "not from a browser"})
            if self._token is not None:
                said = request.headers.get("Authorization", "").removeprefix("Bearer ")
                if not hmac.compare_digest(sha256(said.encode()).digest(), self._token):
                    return _answer(401, {"error": "a bearer token is needed"})
        response: web.StreamResponse = await handler(request)
        return response


def _may_lower(state: ModelState, kind: CapKind) -> bool:
    return state.state in _LOWERABLE or (kind is CapKind.ABORT and state.state is RolloutState.PROMOTED)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _said(request: web.Request) -> tuple[str, str]:
    """Return who asks and why; a bare request in an emergency is good enough."""
    try:
        body = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError:
        body = {}
    body = body if isinstance(body, dict) else {}
    return str(body.get("who") or "admin")[:200], str(body.get("why") or "")[:1000]


def _answer(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
