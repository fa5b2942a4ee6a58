"""`millrace replay FILE --report`: replay's lines come in, the page, its JSON and a summary go out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from deploy.edge.process.command import one_line_errors, run
from deploy.edge.process.settings import Settings
from deploy.trial.day_one.figures import Asked, day_one
from deploy.trial.day_one.inputs import Unreadable, read
from deploy.trial.day_one.page import write_page
from deploy.trial.day_one.summary import summary
from deploy.trial.day_one.survey import survey
from schemas.errors import BadInput, SettingsError


@click.command(context_settings={"show_default": True})
@click.option("--workload", required=True, help="The workload whose log this is.")
@click.option("--source", required=True, help="The log's name, for the page.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The page; its JSON is written beside it.")
@click.option("--made-up-times", is_flag=True, help="The log has no times.")
@click.option(
    "--agreement",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    help="Least agreement of what a student answers.  [default: the workload's gate.agreement_floor]",
)
@click.option("--price-per-1000", type=click.FloatRange(0), default=None, help="Of the teacher, for 1,000 requests.")
@one_line_errors
def main(
    *,
    workload: str,
    source: str,
    out: Path,
    made_up_times: bool,
    agreement: float | None,
    price_per_1000: float | None,
) -> None:
    """Write the day-one report of the rows on standard input."""
    settings = Settings.load()
    known = settings.workloads()
    if workload not in known:
        raise SettingsError("--workload", workload, f"no workload file has this name; known: {', '.join(known)}")
    mine = known[workload]
    now = datetime.now(UTC)
    wished = agreement if agreement is not None else mine.gate.agreement_floor
    if not 0 < wished < 1:
        raise BadInput("gate.agreement_floor", wished, "no finite log proves that; give --agreement, such as 0.95")
    found = survey(read(sys.stdin.buffer, workload, now), mine, settings.workloads_dir)
    if not found.requests:
        raise BadInput("FILE", source, _nothing(found.refused.total(), found.ineligible.total(), found.first_refused))
    figures = day_one(found, mine, Asked(source, now, made_up_times, wished, price_per_1000))
    beside = out.with_suffix(".json")
    values = figures.to_json()
    write_page(figures, mine, out)
    beside.write_bytes(values)
    print(summary(figures))
    print(f"{out}   {beside}")


def _nothing(refused: int, ineligible: int, first: Sequence[Unreadable]) -> str:
    said = f"; row {first[0].row}: {first[0].code}, {first[0].reason}" if first else ""
    return f"holds no request with a text: {refused} rows cannot be used, {ineligible} only a teacher can answer{said}"


if __name__ == "__main__":
    run(main, "millrace replay --report")
