"""`millrace ceiling` and `millrace suspects`: a workload's teacher is asked again."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.edge.process.command import SERVERS, WORKLOAD, WORKLOAD_OPTION, load_settings, one_line_errors, run


@click.group()
def main() -> None:
    """Ask a workload's teacher again."""


@main.command()
@WORKLOAD
@SERVERS
@one_line_errors
def ceiling(workload: str | None, bootstrap_servers: str | None) -> None:
    """Ask the teacher twice: how far can a student agree?

    About 200 test records are asked about a second time; the calls are billed. A gate or rollout that asks for more
    than the ceiling is refused. WORKLOAD need not be given where there is only one.
    """
    from streams.second_answers.ceiling import ask

    ask(load_settings(bootstrap_servers), workload)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@WORKLOAD_OPTION
@click.option("--first", type=click.IntRange(min=1), help="How many at most, the least probable first.  [default: all]")
@SERVERS
@one_line_errors
def suspects(file: Path, workload: str | None, first: int | None, bootstrap_servers: str | None) -> None:
    """Ask again about labels that look wrong, and correct them.

    FILE is a run's suspects.parquet. The calls are billed. A label is asked about in the same words once, however often
    this is run.
    """
    from streams.second_answers.suspects import ask

    ask(load_settings(bootstrap_servers), file, workload, first)


if __name__ == "__main__":
    run(main, "millrace")
