"""A teacher that is exchanged under its own name, seen end to end: gold, curate, label, window, on a real broker."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from deploy.commands.gold.__main__ import main as gold
from deploy.commands.labels.__main__ import main as labels
from deploy.commands.verify.report import verify
from deploy.commands.verify.trace import trace
from deploy.edge.process.settings import Settings
from schemas.events import TriggerVerdict
from schemas.records import LabelKind
from schemas.topics import CURATED, LABELS
from schemas.trigger_board import TriggerBoard, board_file
from streams.curate.stage import CurateStage
from streams.label.stage import LabelStage
from streams.window.stage import WindowStage
from tests.streams.doubles import NAME
from tests.streams.echo import read, started, until
from tests.streams.label.teacher.server import Call, says, teacher_server

pytestmark = [pytest.mark.broker, pytest.mark.faults]  # 12 s, most of them three groups that form and end

HOURS = 0.0002  # a round each 0.7 s, so at each tick
FILE = """
name = "news"
labels = ["earnings", "mergers", "other"]
[teacher]
url = "{url}"
[triggers]
teacher_drift = 0.1
anchor_hours = {hours}
anchors = 25
"""


def drift(folder: Path) -> TriggerVerdict | None:
    """Return what the worker's board says of the trigger."""
    try:
        board = TriggerBoard.from_json(board_file(folder, NAME).read_text())
    except FileNotFoundError:
        return None
    return next(verdict for verdict in board.verdicts if verdict.trigger == "teacher-drift")


async def test_teacher__exchanged_under_its_name(topics: Settings, tmp_path: Path) -> None:
    """Its anchors are asked each round, its new answers fire the trigger, and all books close."""
    exchanged = False

    def teacher(call: Call) -> web.StreamResponse | Any:
        return says("other" if exchanged else "mergers")(call)

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(teacher_server(teacher))
        topics.workloads_dir.mkdir()
        topics.workloads_dir.joinpath("news.toml").write_text(FILE.format(url=server.url, hours=HOURS))
        file = tmp_path / "gold.csv"
        file.write_text("\n".join(("text,label", *(f"Company {n} buys {n * 7} shops,mergers" for n in range(70)))))
        assert run(topics, gold, "add", file, "--annotator", "ann").exit_code == 0
        workloads = topics.workloads()
        for stage in (CurateStage(topics, workloads), LabelStage(topics, workloads), WindowStage(topics, workloads)):
            await stack.enter_async_context(started(topics, stage, stage.name))
        await until(lambda: (verdict := drift(topics.state_dir)) is not None and "to compare" in verdict.explanation)
        exchanged = True
        await until(lambda: (verdict := drift(topics.state_dir)) is not None and verdict.fired)
    verdict = drift(topics.state_dir)
    asked, said = read(topics, CURATED), read(topics, LABELS)
    spent, way = run(topics, labels, "spend"), trace(topics, said[0].record_id)

    assert verdict is not None
    assert verdict.numbers["n"] == 25
    assert len(asked) % 25 == 0
    assert {record.kind for record in said} == {LabelKind.ANCHOR}
    assert [account.residual for account in verify(topics)] == [0, 0]
    assert {step.what.split()[0] for step in way.steps} == {"an", "labelled"}
    assert way.gone == []
    assert spent.exit_code == 0
    assert f"+ anchors {len(said)}" in " ".join(spent.stdout.split())


def run(settings: Settings, program: Any, *arguments: str | Path) -> Any:
    environment = {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": settings.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(settings.workloads_dir),
    }
    return CliRunner(env=environment).invoke(program, [str(each) for each in arguments])
