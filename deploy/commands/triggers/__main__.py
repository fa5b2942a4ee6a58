"""`millrace triggers explain [WORKLOAD]`: why a retrain was asked for, and why none is asked for now."""

from __future__ import annotations

import click

from deploy.edge.process.command import AS_JSON, SERVERS, WORKLOAD, load_settings, one_line_errors, run


@click.group()
def main() -> None:
    """Show why a retrain was asked for, or was not."""


@main.command()
@WORKLOAD
@AS_JSON
@SERVERS
@one_line_errors
def explain(workload: str | None, as_json: bool, bootstrap_servers: str | None) -> None:
    """Show each trigger with its numbers, and the last requests.

    Of WORKLOAD, or of all. The current numbers are in the worker's state folder, so this runs where the worker runs;
    the requests come from Kafka. With --json there is one line per workload.
    """
    from deploy.commands.triggers import explain as triggers

    triggers.explain(load_settings(bootstrap_servers), workload, as_json=as_json)


if __name__ == "__main__":
    run(main, "millrace triggers")
