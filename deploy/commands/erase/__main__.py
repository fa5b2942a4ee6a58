"""`millrace erase --subject ID [WORKLOAD]`.

Exit codes: 0 done, 1 nothing is the subject's, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import sys

import click

from deploy.edge.process.command import AS_JSON, SERVERS, WORKLOAD, load_settings, one_line_errors, run


@click.command()
@WORKLOAD
@click.option("--subject", required=True, help="The client of the records, or the id of one record.")
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and erase nothing.")
@AS_JSON
@SERVERS
@one_line_errors
def main(workload: str | None, subject: str, dry_run: bool, as_json: bool, bootstrap_servers: str | None) -> None:
    """Take a person's records out of labels, window and gold.

    In WORKLOAD, or in all. Snapshots and models that rest on the records are listed: they are immutable, and go only
    when people delete them. It can be run again at any time. Exit code 1 if no record is the subject's.
    """
    from deploy.commands.erase import erasure

    settings = load_settings(bootstrap_servers)
    if not erasure.run(settings, subject, workload, dry_run=dry_run, as_json=as_json):
        sys.exit(1)


if __name__ == "__main__":
    run(main, "millrace erase")
