"""The books after a fault: `millrace verify` as a person runs it, and the decisions beside an undisturbed run's."""

from __future__ import annotations

import os
import subprocess
import sys

from deploy.commands.verify.accounts import Account
from deploy.commands.verify.report import verify
from deploy.commands.verify.topics import PrefixedTopics
from deploy.edge.process.settings import Settings
from schemas.principals import Principal
from schemas.rules.places import PartitionOffset
from schemas.topics import CURATED, DEAD_LETTERS, DISCARDED, TRAFFIC
from tests.faults.conftest import Note
from tests.faults.topics import messages
from tests.faults.undisturbed import Decision, clusters, curation, decisions
from tests.faults.workers import ROOT


def curated(settings: Settings) -> Account:
    """Return the account of the curate stage, by `verify`."""
    return verify(settings)[0]


def labelled(settings: Settings) -> Account:
    """Return the account of the label stage, by `verify`."""
    return verify(settings)[1]


def ended(account: Account) -> int:
    """Return how many records have ended."""
    return sum(account.ended.values())


def assert_nothing_lost_or_doubled(settings: Settings, sent: int, note: Note) -> Account:
    """Print the accounting table; every record sent has exactly one outcome, decided as if nothing had happened."""
    environment = os.environ | {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "MILLRACE_TOPIC_PREFIX": settings.topic_prefix,
        "COLUMNS": "110",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "deploy.commands.verify", "verify"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    note(done.stdout.rstrip())
    assert done.returncode == 0, done.stdout + done.stderr
    account = curated(settings)
    if account.inputs != sent:
        marks = PrefixedTopics(settings, Principal.VERIFY).marks(TRAFFIC.name)
        note(f"sent {sent}, but traffic holds from and to, by partition: {marks}")
    assert (account.inputs, ended(account), account.in_flight, account.residual) == (sent, sent, 0, 0)
    _assert_decided_as_undisturbed(settings, note)
    return account


def _assert_decided_as_undisturbed(settings: Settings, note: Note) -> None:
    made: dict[PartitionOffset, Decision] = {}
    for topic in (CURATED, DISCARDED, DEAD_LETTERS):
        made |= decisions(messages(settings, topic))
    expected = curation(settings, messages(settings, TRAFFIC))
    found = clusters(made)
    several = sum(len(cluster) > 1 for cluster in found)
    note(f"clusters: {len(found)} of {len(made)} records, {several} of them with duplicates; undisturbed: "
         f"{len(clusters(expected))}")  # fmt: skip

    assert several > 0, "a draw without duplicates proves nothing about clusters"
    assert found == clusters(expected)
    assert made == expected
