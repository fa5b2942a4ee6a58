"""`millrace simulate`: play a newswire of fictional companies onto `traffic`, and keep what was planted in a ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from deploy.edge.process.command import told_in_one_line
from deploy.edge.process.settings import Settings
from deploy.trial.simulate import sink
from deploy.trial.simulate.ledger import add_truth, write_ledger
from deploy.trial.simulate.newswire import WORKLOAD
from deploy.trial.simulate.traffic import PlantedRecord, TrafficPlan, check, traffic
from schemas.errors import SettingsError

SHARE = click.FloatRange(0.0, 1.0)


@click.command(context_settings={"show_default": True})
@click.option("--records", type=click.IntRange(1), default=6_000, help="How many records, all kinds together.")
@click.option("--seed", type=int, default=7, help="The same seed gives the same bytes.")
@click.option("--phase", type=click.IntRange(1), default=1, help="Another phase of a seed repeats no text of it.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=None, help="Records a second; without: at once."
)
@click.option("--workload", default=WORKLOAD, help="The workload's name; its file must have the newswire's labels.")
@click.option("--answers", type=SHARE, default=0.2, help="Share of headlines that carry the teacher's recorded answer.")
@click.option("--duplicates", type=SHARE, default=0.06, help="Share of records that repeat an earlier text.")
@click.option("--near-duplicates", type=SHARE, default=0.06, help="Share of records that are syndicated copies.")
@click.option("--pii", type=SHARE, default=0.03, help="Share of headlines with invented personal data.")
@click.option("--poison", type=SHARE, default=0.005, help="Share of records that cannot be processed.")
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
@click.option("--bootstrap-servers", default=None, help="Kafka's address; default from MILLRACE_BOOTSTRAP_SERVERS.")
@told_in_one_line
def main(
    *,
    workload: str, rate: float | None, ledger: Path | None, truth: Path | None, out: Path | None,
    bootstrap_servers: str | None, **shape: float,
) -> None:  # fmt: skip
    """Play a newswire of fictional companies onto `traffic`."""
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    known = settings.workloads()
    if workload not in known:
        raise SettingsError("--workload", workload, f"no file says what it is; known: {', '.join(known)}")
    plan = TrafficPlan(**shape)  # type: ignore[arg-type]  # the options are the fields
    check(plan, known[workload])
    planted = list(traffic(plan, known[workload]))
    if ledger:
        write_ledger(ledger, (record.entry for record in planted))
    if truth:
        add_truth(truth, (record.truth for record in planted if record.truth))
    _send(settings, planted, rate, out)
    _tell(planted, out)


def _send(settings: Settings, planted: list[PlantedRecord], rate: float | None, out: Path | None) -> None:
    with sink.opened(settings, out) as send:
        for record in sink.paced(rate, planted, len(planted), "newswire"):
            send(record.id, record.event_time, record.entry.text, record.wire)


def _tell(planted: list[PlantedRecord], out: Path | None) -> None:
    kinds = Counter(record.entry.kind for record in planted)
    private = sum(bool(record.entry.pii) for record in planted)
    told = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.most_common())
    print(f"{len(planted)} records {'in ' + str(out) if out else 'acknowledged'}: {told}; {private} with personal data")


if __name__ == "__main__":
    main()
