"""`/metrics`, `/healthz` and `/readyz` of a process, on loopback by default.

Healthy: the process makes progress; a supervisor restarts one that is not. Ready: it can do its work now.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from schemas.errors import SettingsError

Check = Callable[[], str | None]  # None when all is well, else what is wrong


def add_routes(app: web.Application, healthy: Check, ready: Check, registry: CollectorRegistry = REGISTRY) -> None:
    """Add the three routes to an aiohttp application."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def answer(check: Check) -> web.Response:
        wrong = check()
        return web.Response(text="ok\n" if wrong is None else wrong + "\n", status=200 if wrong is None else 503)

    async def healthz(_: web.Request) -> web.Response:
        return answer(healthy)

    async def readyz(_: web.Request) -> web.Response:
        return answer(ready)

    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])


async def serve(app: web.Application, host: str, port: int, *, setting: str = "metrics_port") -> web.AppRunner:
    """Listen on host:port and return the runner, to be cleaned up at the end.

    Raises:
        SettingsError: the port is taken or not allowed.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(setting, f"{host}:{port}", f"{error.strerror or error}; choose another port") from error
    return runner


async def serve_probes(host: str, port: int, healthy: Check, ready: Check) -> web.AppRunner | None:
    """Serve the three routes alone; port 0 serves none."""
    if port == 0:
        return None
    app = web.Application()
    add_routes(app, healthy, ready)
    return await serve(app, host, port)
