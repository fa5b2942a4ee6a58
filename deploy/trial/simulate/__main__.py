"""`millrace simulate` and `millrace replay`: traffic that is made up, or a file that you have."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from deploy.edge.process.command import SERVERS, WORKLOAD_OPTION, one_line_errors, run
from deploy.trial.simulate.newswire import WORKLOAD

_SHARE: Final = click.FloatRange(0.0, 1.0)


@click.group()
def main() -> None:
    """Produce traffic: made up, or from a file."""


@main.command(context_settings={"show_default": True})
@click.option("--records", type=click.IntRange(1), default=6_000, help="How many records, all kinds together.")
@click.option("--seed", type=int, default=7, help="The same seed gives the same bytes.")
@click.option("--phase", type=click.IntRange(1), default=1, help="Another phase of a seed repeats no text of it.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=None, help="Records per second.  [default: all at once]"
)
@click.option(
    "-w", "--workload", default=WORKLOAD, help="The workload's name; its file must have the newswire's labels."
)
@click.option(
    "--answers", type=_SHARE, default=0.2, help="Share of headlines that carry the teacher's recorded answer."
)
@click.option("--duplicates", type=_SHARE, default=0.06, help="Share of records that repeat an earlier text.")
@click.option("--near-duplicates", type=_SHARE, default=0.06, help="Share of records that are syndicated copies.")
@click.option("--pii", type=_SHARE, default=0.03, help="Share of headlines with invented personal data.")
@click.option("--poison", type=_SHARE, default=0.005, help="Share of records that cannot be processed.")
@click.option(
    "--teacher-seed", type=int, default=7, help="The practice teacher's seed: whose recorded answers to play."
)
@click.option(
    "--ledger", type=click.Path(path_type=Path), default=None, help="Write what was planted to this JSONL file."
)
@click.option(
    "--truth", type=click.Path(path_type=Path), default=None, help="Add the truth for `millrace teacher` to this file."
)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write JSONL here instead of producing.")
@SERVERS
@one_line_errors
def simulate(**options: Any) -> None:
    """Produce a newswire whose truth is known.

    The companies are fictional. --ledger lists what was planted (duplicates, personal data, poison).
    """
    from deploy.trial.simulate.simulation import play

    play(**options)


@main.command(context_settings={"show_default": True})
@click.argument("source", metavar="FILE")
@WORKLOAD_OPTION
@click.option("--text", default=None, help="The text's column.  [default: a common name]")
@click.option("--label", default=None, help="The column that plays the recorded answer.  [default: a common name]")
@click.option("--no-label", is_flag=True, help="Play no recorded answers.")
@click.option("--id", "own", default=None, help="The id's column.  [default: a common name, else the row's number]")
@click.option("--time", default=None, help="The column of the event time.  [default: a common name, else made up]")
@click.option(
    "--answered-by",
    type=click.Choice(["teacher", "unknown"]),
    default="teacher",
    help="Who gave the recorded answers; of unknown ones nothing is learnt.",
)
@click.option(
    "--model", default=None, help="The model that gave them.  [default: the workload's teacher, if it was one]"
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=None, help="Records per second.  [default: all at once]"
)
@click.option("--skip", type=click.IntRange(0), default=0, help="Rows to leave out first, after shuffling.")
@click.option("--limit", type=click.IntRange(1), default=None, help="Rows to play at most.")
@click.option("--seed", type=int, default=None, help="Shuffle the rows by this seed.  [default: the file's order]")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write JSONL here instead of producing.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value=Path(),
    default=None,
    metavar="[OUT.html]",
    help="Produce nothing: write a page on what the file holds and what a student could take "
    "over, and its figures as JSON beside it. [default name: that of the file]",
)
@click.option(
    "--agreement",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    help="For --report: least agreement of what a student answers.  [default: the workload's gate.agreement_floor]",
)
@click.option(
    "--price-per-1000",
    type=click.FloatRange(0),
    default=None,
    help="For --report: what the teacher's answers to 1,000 requests cost.  [default: usage at teacher.price]",
)
@SERVERS
@one_line_errors
def replay(**options: Any) -> None:
    """Produce a file or data set as traffic, or report on it.

    FILE is CSV, JSON lines or Parquet, each also .gz, or a Hugging Face `owner/name[:split]`. JSON rows that are OpenAI
    exchanges or five-field records already pass unchanged. With --report nothing is produced, no broker is needed, and
    rows that cannot be read are counted instead of ending it.
    """
    from deploy.trial.simulate.replay import play

    play(**options)


if __name__ == "__main__":
    run(main, "millrace")
