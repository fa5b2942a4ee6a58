"""`millrace window show|query`: what the window of this machine's worker holds, also while the worker runs.

Exit codes: 0 done, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import click

from deploy.edge.process.command import AS_JSON, WORKLOAD, load_settings, one_line_errors, run


@click.group()
def main() -> None:
    """Show the window's rows, or ask SQL of them."""


@main.command()
@WORKLOAD
@AS_JSON
@one_line_errors
def show(workload: str | None, as_json: bool) -> None:
    """Show each class by split, its age, effective n and sources.

    Of WORKLOAD, or of all that this machine's worker holds.
    """
    from deploy.commands.window.show import window

    window(load_settings(), workload, as_json=as_json)


@main.command()
@click.argument("sql")
@AS_JSON
@one_line_errors
def query(sql: str, as_json: bool) -> None:
    """Ask SQL (DuckDB's) of the table `rows`.

    `DESCRIBE rows` lists its columns. No query can change the window, or read another file. With --json there is one
    object per row.
    """
    from deploy.commands.window.show import answer

    answer(load_settings(), sql, as_json=as_json)


if __name__ == "__main__":
    run(main, "millrace window")
