"""`millrace verify`: every record ended exactly once, recomputed from the topics alone. Exit code 0 only if so.

    traffic = curated + discarded (curate) + dead letters (curate) + re-keyed
    curated = labels + discarded (label) + dead letters (label)

each input by its place exactly once, each duplicate naming a record in `curated`, no text or id in `curated` twice
within its workload's duplicate horizon. What is still on its way is counted apart. A replayed record is an input of its
own, and no second ending of what it replays. It shares no code with the worker, and it reads at most what the topics
still keep: where retention took endings, the inputs from before are not counted.
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from deploy.commands.verify.accounts import Account
from deploy.commands.verify.books import STAGES, accounts
from deploy.commands.verify.topics import PrefixedTopics
from deploy.edge.process.settings import Settings
from deploy.edge.topics.command_clients import no_answer
from schemas.principals import Principal


def verify(settings: Settings, workload: str | None = None) -> list[Account]:
    """Return the accounts of both stages.

    Raises:
        ContractError: a topic is missing, or holds what cannot be read.
        Unavailable: the cluster does not answer.
    """
    return _verify(settings, workload)[0]


def _verify(settings: Settings, workload: str | None) -> tuple[list[Account], set[str]]:
    try:
        return accounts(settings, PrefixedTopics(settings, Principal.VERIFY), workload)
    except KafkaException as error:
        raise no_answer(settings.bootstrap_servers, error.args[0]) from error


def verify_until_settled(settings: Settings, seconds: float, workload: str | None) -> tuple[list[Account], set[str]]:
    """Verify until nothing is in flight, or the time is over; return the accounts, and the workloads without a file."""
    deadline = time.monotonic() + seconds
    while True:
        found = _verify(settings, workload)
        if not any(one.in_flight for one in found[0]) or time.monotonic() >= deadline:
            return found
        time.sleep(1.0)


def show(found: list[Account], unchecked: set[str], *, as_json: bool) -> None:
    """Print the accounts, and the workloads whose texts were not checked for want of a file."""
    if as_json:
        print(json.dumps(summary(found) | {"unchecked": sorted(unchecked)}))
    else:
        _table(found, unchecked)


def _table(found: list[Account], unchecked: set[str]) -> None:
    table = Table(
        "stage", "inputs", "ended", "in flight", "missing", "doubled", "dangling", "repeated", box=None, pad_edge=False
    )
    for one in found:
        ended = ", ".join(f"{topic} {count}" for topic, count in sorted(one.ended.items())) or "none"
        numbers = (one.in_flight, len(one.missing), len(one.doubled), len(one.dangling), len(one.repeated))
        table.add_row(one.stage, str(one.inputs), ended, *map(str, numbers))
    console = Console()
    console.print(table)
    console.print(f"residual {sum(one.residual for one in found)}")
    for one, (_, source) in zip(found, STAGES, strict=True):
        offence = one.first_offence(source)
        if offence:
            console.print(f"{one.stage}: first offending record: {offence}")
    if unchecked:
        names = ", ".join(sorted(unchecked))
        console.print(f"not checked for repeated texts, for want of a workload file here: {names}", markup=False)


def summary(found: list[Account]) -> dict[str, Any]:
    """Return the accounts as plain values, with the residual."""
    return {
        "residual": sum(one.residual for one in found),
        "in_flight": sum(one.in_flight for one in found),
        "stages": [
            dataclasses.asdict(one) | {"missing": len(one.missing), "doubled": len(one.doubled),
                                       "dangling": len(one.dangling), "repeated": len(one.repeated),
                                       "first": one.first_offence(source)}
            for one, (_, source) in zip(found, STAGES, strict=True)
        ],
    }  # fmt: skip
