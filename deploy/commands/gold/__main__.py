"""`millrace gold add|report`: human labels, and how good the teacher and a student are by them.

Exit codes: 0 done, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

from pathlib import Path

import click

from deploy.edge.process.command import AS_JSON, SERVERS, WORKLOAD, WORKLOAD_OPTION, load_settings, one_line_errors, run


@click.group()
def main() -> None:
    """Add human labels; judge teacher and student by them."""


@main.command("add")
@click.argument("file", type=click.Path(path_type=Path))
@WORKLOAD_OPTION
@click.option("--annotator", help="Who gave the labels on lines that name nobody.")
@SERVERS
@one_line_errors
def add_command(file: Path, workload: str | None, annotator: str | None, bootstrap_servers: str | None) -> None:
    """Add a file of human labels.

    FILE is CSV with a header, or JSON lines, with text, label and annotator in each. Texts are redacted before they are
    stored. A file with a mistake adds nothing. A file that is added again, or an annotator's later label, replaces that
    annotator's earlier label of the text.
    """
    from deploy.commands.gold.add import add

    add(load_settings(bootstrap_servers), file, workload, annotator)


@main.command()
@WORKLOAD
@click.option("--predictions", type=click.Path(path_type=Path), help="A run's predictions.parquet: its student too.")
@AS_JSON
@SERVERS
@one_line_errors
def report(workload: str | None, predictions: Path | None, as_json: bool, bootstrap_servers: str | None) -> None:
    """Judge the teacher by people's labels, and a student.

    The student is judged on the rows it was tested on. Every row is weighted by the inverse of its
    propensity, times the traffic records of its cluster as far as `discarded` still holds them.
    """
    from deploy.commands.gold.judge import judge

    judge(load_settings(bootstrap_servers), workload, predictions, as_json=as_json)


if __name__ == "__main__":
    run(main, "millrace gold")
