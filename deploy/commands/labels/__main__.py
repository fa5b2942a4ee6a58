"""`millrace labels spend`: what the labels cost, from the topics, against the budget.

Exit codes: 0 done, 1 the ledger does not balance, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import sys

import click

from deploy.edge.process.command import AS_JSON, SERVERS, WORKLOAD, load_settings, one_line_errors, run


@click.group()
def main() -> None:
    """Show what the labels cost, against the budget."""


@main.command()
@WORKLOAD
@AS_JSON
@SERVERS
@one_line_errors
def spend(workload: str | None, as_json: bool, bootstrap_servers: str | None) -> None:
    """Show calls, tokens and money, and what is left of them.

    Counted from `labels`, `dead-letters` and `ceilings`, as far back as they are kept, for WORKLOAD or for all. A call
    whose label was not written when its worker was killed is not here: the endpoint may have counted that many more.
    """
    from deploy.commands.labels.spend import show

    if not show(load_settings(bootstrap_servers), workload, as_json=as_json):
        sys.exit(1)


if __name__ == "__main__":
    run(main, "millrace labels")
