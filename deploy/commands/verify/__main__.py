"""`millrace verify` and `millrace trace`: count every record in the topics, or follow one of them."""

from __future__ import annotations

import sys

import click

from deploy.edge.process.command import AS_JSON, SERVERS, WORKLOAD, load_settings, one_line_errors, run


@click.group()
def main() -> None:
    """Count every record in the topics, or follow one of them."""


@main.command()
@WORKLOAD
@AS_JSON
@click.option(
    "--wait", "wait_seconds", type=click.FloatRange(0), default=0.0, help="Seconds to wait for records in flight."
)
@SERVERS
@one_line_errors
def verify(workload: str | None, as_json: bool, wait_seconds: float, bootstrap_servers: str | None) -> None:
    """Check that every record ended exactly once.

    All records are counted, or those of WORKLOAD alone. Exit code 1 where one is missing, doubled, or ended as the
    duplicate of a record that does not exist.
    """
    from deploy.commands.verify import report

    settings = load_settings(bootstrap_servers)
    found, unchecked = report.verify_until_settled(settings, wait_seconds, workload)
    report.show(found, unchecked, as_json=as_json)
    sys.exit(1 if any(one.residual for one in found) else 0)


@main.command()
@click.argument("record", metavar="RECORD_ID|traffic/PARTITION/OFFSET")
@AS_JSON
@SERVERS
@one_line_errors
def trace(record: str, as_json: bool, bootstrap_servers: str | None) -> None:
    """Follow one record through topics and snapshots.

    It reads the topics from end to end, and prints no text of a record. Exit code 1 where nothing is found.
    """
    from deploy.commands.verify.trace import show
    from deploy.commands.verify.trace import trace as way_of

    way = way_of(load_settings(bootstrap_servers), record)
    show(way, as_json=as_json)
    if not way.steps:
        kept = ", ".join(f"{topic} {what}" for topic, what in way.kept.items())
        print(f"nothing is found of {record}; the topics keep: {kept}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run(main, "millrace")
