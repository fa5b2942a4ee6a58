"""Run the router: `python -m deploy.serve.router`."""

from __future__ import annotations

import asyncio
import signal

import click

from deploy.edge.process import logs
from deploy.edge.process.command import told_in_one_line
from deploy.serve.router.process import serve
from deploy.serve.router.settings import RouterSettings


@click.command()
@click.option("--port", "router_port", type=int, help="Where traffic comes in.")
@click.option("--admin-port", type=int, help="Where admin and probes are.")
@told_in_one_line
def main(router_port: int | None, admin_port: int | None) -> None:
    """Answer a workload's requests with the teacher or its students, and capture them."""
    settings = RouterSettings.load(router_port=router_port, admin_port=admin_port)
    log = logs.start(settings, "router")
    workloads = settings.workloads()
    log.info("router on %s:%d for %s", settings.host, settings.router_port, ", ".join(workloads))

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await serve(settings, workloads, stop)

    asyncio.run(run())


if __name__ == "__main__":
    main()
