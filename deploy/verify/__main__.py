"""`millrace verify`: every record ended exactly once, recomputed from the topics alone. Exit code 0 only if so.

    traffic = curated + discarded (curate) + dead letters (curate) + re-keyed
    curated = labels + discarded (label) + dead letters (label)

each input by its place exactly once, each duplicate naming a record in `curated`. What is still on its way is told
apart. It shares no code with the worker, and it reads at most what the topics still keep.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from deploy.edge.command import told_in_one_line
from deploy.edge.settings import Settings
from deploy.verify.accounts import Account, Ending, Place, account
from deploy.verify.topics import Cluster, Raw, Reader
from schemas.errors import Unavailable

REKEYED_HEADER: Final = "millrace-rekeyed-from"
_OUTPUTS: Final = ("curated", "discarded", "labels", "dead-letters")
_RECORDS: Final = {
    "curated": "CuratedRecord", "discarded": "DiscardedRecord", "labels": "LabelRecord", "dead-letters": "DeadLetter",
}  # fmt: skip
_STAGES: Final = (("curate", "traffic"), ("label", "curated"))


def verify(settings: Settings, workload: str | None = None) -> list[Account]:
    """Return the accounts of both stages.

    Raises:
        ContractError: a topic is missing, or holds what cannot be read.
        Unavailable: the cluster does not answer.
    """
    cluster = Cluster(settings)
    try:
        committed = {stage: cluster.committed(f"millrace-{stage}", source) for stage, source in _STAGES}
        marks = {topic: cluster.marks(topic) for topic in ("traffic", *_OUTPUTS)}
        return _accounts(settings, cluster, committed, marks, workload)
    except KafkaException as error:
        raise Unavailable(f"no answer from {settings.bootstrap_servers}: {error.args[0].str()}") from error


def _accounts(
    settings: Settings,
    cluster: Cluster,
    committed: Mapping[str, Mapping[int, int]],
    marks: Mapping[str, Mapping[int, tuple[int, int]]],
    workload: str | None,
) -> list[Account]:
    inputs: dict[str, dict[Place, str | None]] = {"traffic": {}, "curated": {}}
    endings: dict[str, list[Ending]] = {"traffic": [], "curated": []}
    known: set[str] = set()
    kept_since: dict[
        int, int
    ] = {}  # partition -> when the oldest ending that is kept was appended, where some are gone
    for topic in _OUTPUTS:
        reader = Reader(_RECORDS[topic], settings)
        for raw, record in _decoded(cluster, topic, reader, marks[topic]):
            low = marks[topic][raw.partition][0]
            if 0 < low == raw.offset:
                kept_since[raw.partition] = max(raw.appended_ms, kept_since.get(raw.partition, 0))
            origin = record["origin"]
            if origin["topic"] in endings:
                endings[origin["topic"]].append(_ending(topic, record))
            if topic == "curated":
                inputs["curated"][raw.partition, raw.offset] = record["workload"]
                known.add(record["record_id"])
    for raw in cluster.read("traffic", marks["traffic"]):
        # The key is the workload's name where the producer set it; the endings know better where it did not.
        inputs["traffic"][raw.partition, raw.offset] = raw.key.decode(errors="replace") if raw.key else None
        rekeyed = next((value for name, value in raw.headers if name == REKEYED_HEADER and value), None)
        if rekeyed is not None:
            partition, offset = map(int, rekeyed.split(b":"))
            endings["traffic"].append(Ending("re-keyed", (partition, offset), None))
    for ending in endings["traffic"]:
        if ending.workload and ending.origin in inputs["traffic"]:
            inputs["traffic"][ending.origin] = ending.workload
    return [
        account(
            stage,
            inputs=inputs[source],
            endings=endings[source],
            committed=committed[stage],
            begins=_begins(cluster, source, marks[source], kept_since),
            known=None if any(low for low, _ in marks["curated"].values()) else known,
            workload=workload,
        )
        for stage, source in _STAGES
    ]  # fmt: skip


def _begins(
    cluster: Cluster, source: str, marks: Mapping[int, tuple[int, int]], kept_since: Mapping[int, int]
) -> dict[int, int]:
    """Return from where a topic's records can be counted: an ending older than what is kept would seem missing."""
    begins = {partition: low for partition, (low, _) in marks.items()}
    for partition, appended_ms in kept_since.items():
        at = cluster.offset_at(source, partition, appended_ms)
        begins[partition] = max(begins[partition], marks[partition][1] if at is None else at)
    return begins


def _decoded(
    cluster: Cluster, topic: str, reader: Reader, marks: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[Raw, dict[str, Any]]]:
    for raw in cluster.read(topic, marks):
        if raw.value is not None:
            record = reader.decode(raw.value)
            if "origin" in record:
                yield raw, record


def _ending(topic: str, record: Mapping[str, Any]) -> Ending:
    origin = record["origin"]
    return Ending(
        topic, (origin["partition"], origin["offset"]), record.get("workload"), record.get("record_id"),
        record.get("duplicate_of"),
    )  # fmt: skip


def _wait(settings: Settings, seconds: float, workload: str | None) -> list[Account]:
    """Verify until nothing is in flight, or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        accounts = verify(settings, workload)
        if not any(one.in_flight for one in accounts) or time.monotonic() >= deadline:
            return accounts
        time.sleep(1.0)


def _show(accounts: list[Account]) -> None:
    table = Table("stage", "inputs", "ended", "in flight", "missing", "doubled", "dangling")
    for one in accounts:
        ended = ", ".join(f"{topic} {count}" for topic, count in sorted(one.ended.items())) or "none"
        numbers = (one.in_flight, len(one.missing), len(one.doubled), len(one.dangling))
        table.add_row(one.stage, str(one.inputs), ended, *map(str, numbers))
    console = Console()
    console.print(table)
    console.print(f"residual {sum(one.residual for one in accounts)}")
    for one, (_, source) in zip(accounts, _STAGES, strict=True):
        offence = one.first_offence(source)
        if offence:
            console.print(f"{one.stage}: first offending record: {offence}")


def summary(accounts: list[Account]) -> dict[str, Any]:
    """Return the accounts as plain values, with the residual."""
    return {
        "residual": sum(one.residual for one in accounts),
        "in_flight": sum(one.in_flight for one in accounts),
        "stages": [
            dataclasses.asdict(one) | {"missing": len(one.missing), "doubled": len(one.doubled),
                                       "dangling": len(one.dangling), "first": one.first_offence(source)}
            for one, (_, source) in zip(accounts, _STAGES, strict=True)
        ],
    }  # fmt: skip


@click.command()
@click.option("--workload", help="Count this workload's records only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--wait", "wait_seconds", type=click.FloatRange(0), default=0.0, help="Seconds to wait for what is in flight."
)
@click.option("--bootstrap-servers", help="The cluster.  [default: MILLRACE_BOOTSTRAP_SERVERS]")
def main(workload: str | None, as_json: bool, wait_seconds: float, bootstrap_servers: str | None) -> None:
    """Check that every record ended exactly once."""
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    accounts = _wait(settings, wait_seconds, workload)
    if as_json:
        print(json.dumps(summary(accounts)))
    else:
        _show(accounts)
    sys.exit(1 if any(one.residual for one in accounts) else 0)


if __name__ == "__main__":
    told_in_one_line(main)(prog_name="millrace verify")
