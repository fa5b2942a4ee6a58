"""Plays a newswire of fictional companies onto `traffic`, and keeps a list of what was planted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from deploy.edge.process.settings import Settings
from deploy.trial.simulate import sink
from deploy.trial.simulate.planted import add_truth, write_planted
from deploy.trial.simulate.traffic import PlantedRecord, TrafficPlan, check, traffic
from schemas.principals import Principal


def play(
    *,
    workload: str,
    rate: float | None,
    ledger: Path | None,
    truth: Path | None,
    out: Path | None,
    bootstrap_servers: str | None,
    **shape: float,
) -> None:
    """Play what the options of `millrace simulate` describe."""
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    known = settings.workload(workload)
    plan = TrafficPlan(**shape)  # type: ignore[arg-type]  # the options are the fields
    check(plan, known)
    planted = list(traffic(plan, known))
    if ledger:
        write_planted(ledger, (record.entry for record in planted))
    if truth:
        add_truth(truth, (record.truth for record in planted if record.truth))
    _send(settings, planted, rate, out)
    _summarise(planted, out)


def _send(settings: Settings, planted: list[PlantedRecord], rate: float | None, out: Path | None) -> None:
    with sink.opened(settings, Principal.SIMULATE, out) as send:
        for record in sink.paced(rate, planted, len(planted), "newswire"):
            send(record.id, record.event_time, record.entry.text, record.wire)


def _summarise(planted: list[PlantedRecord], out: Path | None) -> None:
    kinds = Counter(record.entry.kind for record in planted)
    private = sum(bool(record.entry.pii) for record in planted)
    named = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.most_common())
    done = f"in {out}" if out else "acknowledged"
    print(f"{len(planted)} records {done}: {named}; {private} with personal data")
