"""Without a broker: a command that asks Kafka says so in one line, soon; one that needs no Kafka does not ask.

Every command is declared here. They run as the processes that people start, all at once: most of them only wait.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from pyarrow import parquet

from deploy.cli import COMMANDS
from deploy.edge.topics.command_clients import FIRST_ANSWER_SECONDS

pytestmark = pytest.mark.slow

SECONDS: Final = 10.0  # of a command alone; five of them are the wait for a first answer
NEWSWIRE: Final = Path(__file__).parents[2] / "workloads" / "newswire.toml"
PLAY: Final = "replay log.csv -w newswire"
ADD: Final = "gold add gold.csv -w newswire"

# What asks the broker and then ends.
ASKS: Final[Mapping[str, tuple[str, ...]]] = {
    "topics": ("topics apply", "topics list"),
    "simulate": ("simulate --records 20",),
    "replay": (PLAY,),
    "rollout": tuple(f"rollout {do} newswire" for do in ("status", "hold", "resume", "promote", "undo")),
    "triggers": ("triggers explain",),
    "verify": ("verify newswire",),
    "trace": ("trace traffic/0/0",),
    "ceiling": ("ceiling newswire",),
    "suspects": ("suspects suspects.parquet -w newswire",),
    "labels": ("labels spend",),
    "gold": (ADD, "gold report newswire"),
    "erase": ("erase --subject somebody",),
    "dead-letters": ("dead-letters list", "dead-letters show 0:0", "dead-letters replay --yes"),
}
# What needs no broker.
ASKS_NOBODY: Final[Mapping[str, tuple[str, ...]]] = {
    "down": ("down",),
    "logs": ("logs",),
    "init": ("init desk",),
    "doctor": ("doctor",),
    "kafka": ("kafka stop", "kafka status"),
    "status": ("status",),
    "window": ("window show", "window query 'select 1'"),
    "simulate": ("simulate --records 20 --out simulated.jsonl",),
    "replay": (f"{PLAY} --out played.jsonl", f"{PLAY} --report"),
}
STAYS: Final = frozenset({"up", "worker", "router", "dispatcher", "serve", "teacher"})
RESTARTED: Final = ("worker", "dispatcher")  # the router goes on without a broker, the others need none
ALONE: Final = ("window show", "init desk", "logs", f"{PLAY} --out played.jsonl")  # these wait for nothing but cores
ABORT: Final = "rollout abort newswire"  # acts at the routers first; neither they nor Kafka are there
FROZEN: Final = (
    "topics list",
    "verify newswire",
    "dead-letters list",
    "simulate --records 20",
    ADD,
)  # each kind of client


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    errors: list[str]
    seconds: float
    cpu_seconds: float


def all_of(declared: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [line for lines in declared.values() for line in lines]


@pytest.fixture(scope="module")
def closed() -> Iterator[str]:
    """The address of a port that nobody listens on, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def frozen() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(128)
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workload and the files that commands take."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "workloads").mkdir()
    shutil.copy(NEWSWIRE, folder / "workloads")
    (folder / "log.csv").write_text("text,label\nAcme buys Bolt,other\n")
    (folder / "gold.csv").write_text("text,label,annotator\nAcme buys Bolt,other,ann\n")
    row = {"record_id": ["r"], "text": ["Acme buys Bolt"], "teacher": ["other"], "likelier": ["earnings"]}
    parquet.write_table(pa.table(row), folder / "suspects.parquet")
    return folder


@pytest.fixture(scope="module")
def ended(closed: str, frozen: str, folder: Path) -> dict[tuple[str, str], Ended]:
    """How each command line ended against each address."""
    asked = [(line, closed) for line in [*all_of(ASKS), *all_of(ASKS_NOBODY), ABORT, *RESTARTED]]
    asked += [(line, frozen) for line in FROZEN]
    with ThreadPoolExecutor(len(asked)) as pool:
        return dict(zip(asked, pool.map(lambda one: run(folder, *one), asked), strict=True))


def run(folder: Path, line: str, servers: str) -> Ended:
    """Run a command line to its end."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "MILLRACE_BOOTSTRAP_SERVERS": servers,
        "MILLRACE_METRICS_PORT": "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "deploy.cli", *shlex.split(line)]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        out.seek(0)
        errors.seek(0)
        said = [text for text in errors.read().splitlines() if text.strip()]
        return Ended(process.returncode, out.read(), said, seconds, used.ru_utime + used.ru_stime)


def test_commands__are_all_declared():
    """A new command says here whether it asks the broker."""
    assert ASKS.keys() | ASKS_NOBODY.keys() | STAYS == COMMANDS.keys()


@pytest.mark.parametrize("line", all_of(ASKS))
def test_closed_port__one_line_and_exit_code_2(line, ended, closed):
    """A command that asks a broker which is not there says so in one line."""
    one = ended[line, closed]

    assert one.code == 2
    assert len(one.errors) == 1, one.errors
    assert one.errors[0].startswith(f"error: no answer from {closed}")


@pytest.mark.parametrize("line", FROZEN)
def test_frozen_broker__one_line_and_exit_code_2(line, ended, frozen):
    """So it is with a broker that takes the connection and never says a word."""
    one = ended[line, frozen]

    assert one.code == 2
    assert len(one.errors) == 1, one.errors
    assert one.errors[0].startswith(f"error: no answer from {frozen}")


@pytest.mark.parametrize("line", all_of(ASKS_NOBODY))
def test_closed_port__is_not_asked_by_what_needs_no_broker(line, ended, closed):
    """A command that needs no broker does its work, or says what else is wrong."""
    one = ended[line, closed]

    assert "no answer from" not in "\n".join(one.errors)
    assert not [text for text in one.errors if "rdkafka" in text or "Traceback" in text]


def test_abort__tells_of_each_router_and_of_the_controller(ended, closed):
    """What was not reached is named, each in a line, and the exit code says that the abort is not everywhere."""
    one = ended[ABORT, closed]

    assert one.code == 1
    assert "NOT aborted" in one.out
    assert [text.split(":")[0] for text in one.errors] == ["controller"]


@pytest.mark.parametrize("line", RESTARTED)
def test_process_that_stays__is_started_again(line, ended, closed):
    """Exit code 2 would keep its supervisor from trying again; a broker may come back without anybody's doing."""
    assert ended[line, closed].code == 1
    assert not [said for said in ended[line, closed].errors if "Traceback" in said]


def test_closed_port__is_given_up_within_seconds(ended):
    """Each would end within 10 s by itself: its time, less what the others took from it of the cores."""
    only_work = [one for (line, _), one in ended.items() if line in ALONE]
    crowding = max(one.seconds / one.cpu_seconds for one in only_work)
    took = {
        line: one.seconds - one.cpu_seconds * (crowding - 1)
        for (line, _), one in ended.items()
        if line not in RESTARTED
    }

    assert FIRST_ANSWER_SECONDS == 5.0
    assert {line: seconds for line, seconds in took.items() if seconds > SECONDS} == {}
