"""`millrace router`: its options; the work is in `process`."""

from __future__ import annotations

import click

from deploy.edge.process.command import restartable, run


@click.command()
@click.option("--port", "router_port", type=int, help="Where traffic comes in.  [default: 8000]")
@click.option("--admin-port", type=int, help="Where admin and probes are.  [default: 8010]")
@restartable
def main(router_port: int | None, admin_port: int | None) -> None:
    """Answer with teacher or student, and capture each request.

    Point an application's OpenAI client at it; `model` is the workload's name.
    """
    from deploy.serve.router.process import start

    start(router_port=router_port, admin_port=admin_port)


if __name__ == "__main__":
    run(main, "millrace router")
