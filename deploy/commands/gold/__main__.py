"""`millrace gold add|report`: human labels, and what they say of the teacher and of a student.

Exit codes: 0 done, 2 a mistake in what was asked for, or no answer.
"""

from __future__ import annotations

import json
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from pyarrow import parquet

from deploy.commands.gold import show
from deploy.commands.gold.figures import report
from deploy.commands.gold.joined import humans, taught
from deploy.commands.gold.rows import read_rows
from deploy.commands.gold.topic import GoldTopics, gold_labels, write
from deploy.edge.process.command import told_in_one_line
from deploy.edge.process.settings import Settings
from schemas.errors import BadInput
from schemas.rules.anchors import is_anchor
from schemas.rules.multiplicity import duplicates_of

SERVERS = click.option("--bootstrap-servers", help="The cluster.  [default: MILLRACE_BOOTSTRAP_SERVERS]")


@click.group()
def main() -> None:
    """Take in human labels, and judge the teacher and a student by them."""


@main.command("add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--workload", help="Whose labels they are.  [default: the only one there is]")
@click.option("--annotator", help="Who gave the labels of lines that do not say it.")
@SERVERS
@told_in_one_line
def add_command(file: Path, workload: str | None, annotator: str | None, bootstrap_servers: str | None) -> None:
    """Add a file of human labels: CSV with a header or JSON lines, with text, label and annotator in each.

    Texts are redacted before they are stored. A file with a mistake adds nothing. A file that is added again, or an
    annotator's second thought, replaces what the annotator said of the text before.
    """
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    chosen = settings.workload(workload)
    found = gold_labels(read_rows(file, chosen, annotator), chosen, file.name, datetime.now(UTC))
    write(settings, found)
    texts = {one.text_key for one in found}
    anchors = sum(is_anchor(chosen.name, key) for key in texts)
    people = len({one.annotator for one in found})
    print(f"{chosen.name}: {len(found)} labels of {people} annotators on {len(texts)} texts, {anchors} of them anchors")


@main.command("report")
@click.argument("workload", required=False)
@click.option("--predictions", type=click.Path(path_type=Path), help="A run's predictions.parquet: its student too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@SERVERS
@told_in_one_line
def report_command(
    workload: str | None, predictions: Path | None, as_json: bool, bootstrap_servers: str | None
) -> None:
    """Show how good the teacher is, by people's labels; and a student, on the rows it was tested on.

    Every figure is weighted by what its rows stand for: the inverse of their propensity, times the traffic records of
    their cluster as far as `discarded` still knows them.
    """
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    chosen = settings.workload(workload)
    student = None if predictions is None else _predictions(predictions)
    topics = GoldTopics(settings, chosen.name)
    gold = humans(topics.gold())
    if not gold:
        raise BadInput("WORKLOAD", chosen.name, "has no human labels; add some with `millrace gold add FILE`")
    teacher = taught(topics.labels(), duplicates_of(topics.discarded()), gold, student or {})
    ceiling = next(iter(deque(topics.ceilings(), maxlen=1)), None)
    found = report(chosen.name, chosen.labels, gold, teacher, student, ceiling)
    if as_json:
        print(json.dumps(show.plain(found)))
    else:
        show.table(chosen, found)


def _predictions(file: Path) -> dict[str, str]:
    """Return a student's label by record id."""
    try:
        table: Any = parquet.read_table(file, columns=["record_id", "tuned"])
    except (OSError, pa.ArrowException) as error:
        raise BadInput("--predictions", str(file), f"is no predictions.parquet of a run: {error}") from error
    return dict(zip(table.column("record_id").to_pylist(), table.column("tuned").to_pylist(), strict=True))


if __name__ == "__main__":
    main(prog_name="millrace gold")
