"""Lowering wins, survives, and is local; students are proven before they answer; a cold start raises nothing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.serve.router import answer
from deploy.serve.router.admin import Admin
from deploy.serve.router.capture import Capture
from deploy.serve.router.lines import Cap, CapKind, Lines
from deploy.serve.router.settings import RouterSettings
from deploy.serve.router.students import verified
from schemas.codec import encode
from schemas.errors import ContractError, SettingsError
from schemas.events import ModelState, RolloutAction, RolloutCommand, RolloutState, ServedModel
from schemas.promotion import ModelPromotion
from schemas.sections.rollout import Rollout
from schemas.topics import OUTCOMES
from tests.deploy.serve.router.conftest import LABELS, ROLLOUT, TIME, House, adapter, canary, newer, until
from tests.schemas.golden_form import golden

STUDENT = ServedModel(version="news-1", uri="u", manifest_sha256="d", base_model="b", labels=LABELS)
OTHER = ServedModel(version="news-0", uri="u", manifest_sha256="d", base_model="b", labels=LABELS)


def state(**fields: Any) -> ModelState:
    """Return a canary at half weight."""
    values: dict[str, Any] = {
        "workload": "news", "epoch": 1, "sequence": 2, "time": TIME, "state": RolloutState.CANARY,
        "rollout_id": ROLLOUT, "challenger": STUDENT, "weight": 0.5, "step": 1,
    }  # fmt: skip
    return ModelState(**values | fields)


def cap(kind: CapKind, weight: float = 0.0) -> Cap:
    """Return a local override of that rollout."""
    return Cap(kind, ROLLOUT, weight, "command", "ada", "why", datetime.now(UTC).isoformat())


def test_apply__order(tmp_path: Path) -> None:
    """Only a higher (epoch, sequence) is applied, in whatever order states arrive."""
    lines = Lines(tmp_path)
    taken = [lines.apply(state(epoch=e, sequence=s)) for e, s in [(1, 2), (1, 2), (1, 1), (2, 1), (1, 9)]]

    assert taken == [True, False, False, True, False]


def test_view__of_a_rollout__has_the_limits_that_came_with_its_nomination(tmp_path: Path) -> None:
    """Also after a restart; a line without a rollout, and a nomination without limits, go by the workload's file."""
    plan = Rollout(paired_share=0.9, student_timeout_seconds=1.5).plan()
    nominated = golden(ModelPromotion)
    nominated = replace(nominated, decision=replace(nominated.decision, plan=plan))
    lines = Lines(tmp_path)
    lines.apply(state(nomination=encode(nominated)))
    lines.save()
    lines.close()
    again = Lines(tmp_path)
    again.confirmed = True
    limits = again.view("news").limits
    again.apply(state(sequence=3))

    assert limits == plan.limits
    assert again.view("news").limits is None


def test_weight__lower_of_two(tmp_path: Path) -> None:
    """The lower of the controller's weight and the local cap wins, whichever comes later."""
    lines = Lines(tmp_path)
    lines.confirmed = True
    lines.apply(state(weight=0.25))
    lines.lower("news", cap(CapKind.HOLD, 0.25))
    lines.apply(state(sequence=3, weight=0.5))
    held = lines.view("news").weight
    lines.apply(state(sequence=4, weight=0.05))

    assert (held, lines.view("news").weight) == (0.25, 0.05)


def test_abort__overtaken_by_a_promotion(tmp_path: Path) -> None:
    """What was aborted here does not answer though the controller promotes it meanwhile: the former champion does."""
    lines = Lines(tmp_path)
    lines.confirmed = True
    lines.apply(state(champion=OTHER))
    lines.lower("news", cap(CapKind.ABORT))
    lines.apply(state(sequence=3, state=RolloutState.PROMOTED, champion=STUDENT, challenger=None, former=OTHER))

    assert lines.view("news").champion == OTHER
    assert lines.view("news").challenger is None


def test_abort__not_weakened(tmp_path: Path) -> None:
    """A hold after an abort of the same rollout leaves the abort in force."""
    lines = Lines(tmp_path)
    lines.confirmed = True
    lines.apply(state())
    lines.lower("news", cap(CapKind.ABORT))
    lines.lower("news", cap(CapKind.HOLD, 0.5))

    assert lines.view("news").challenger is None


def test_cold_start__without_kafka(tmp_path: Path) -> None:
    """After a restart without Kafka the snapshot's champion answers, its challenger does not, an abort still holds."""
    lines = Lines(tmp_path)
    lines.apply(state(champion=OTHER))
    lines.lower("news", cap(CapKind.ABORT))
    lines.save()
    lines.close()
    cold = Lines(tmp_path)
    view, kept = cold.view("news"), cold.cap("news")
    cold.confirmed = True
    cold.close()

    assert (view.champion, view.challenger) == (OTHER, None)
    assert kept is not None
    assert kept.kind is CapKind.ABORT
    assert cold.view("news").challenger is None


def test_snapshot__of_release_0_1(tmp_path: Path) -> None:
    """A cap that release 0.1 wrote is read, and written under the same keys: a release rolled back finds it too."""
    written = {
        "kind": "hold", "rollout_id": "r", "weight": 0.25, "command_id": "c", "who": "ada", "why": "",
        "time": "2026-11-28T12:00:00+00:00", "told": True,
    }  # fmt: skip
    file = tmp_path / "lines.json"
    file.write_text(json.dumps({"format": "millrace-router/1", "states": {}, "caps": {"news": written}}))
    lines = Lines(tmp_path)
    kept = lines.cap("news")
    lines.save()
    lines.close()

    assert kept is not None
    assert kept.acknowledged
    assert json.loads(file.read_text())["caps"] == {"news": written}


def test_snapshot__of_a_later_release(tmp_path: Path) -> None:
    """A cap with more in it than this release knows still holds: a release rolled back keeps an abort."""
    lines = Lines(tmp_path)
    lines.lower("news", cap(CapKind.ABORT))
    lines.save()
    lines.close()
    file = tmp_path / "lines.json"
    written = json.loads(file.read_text())
    written["caps"]["news"]["ticket"] = "OPS-1"
    file.write_text(json.dumps(written))
    later = Lines(tmp_path)
    kept = later.cap("news")
    later.close()

    assert kept is not None
    assert kept.kind is CapKind.ABORT


def test_folder__in_use(tmp_path: Path) -> None:
    """A second router on the same folder is refused with the reason."""
    lines = Lines(tmp_path)
    with pytest.raises(SettingsError, match="another router"):
        Lines(tmp_path)
    lines.close()


def test_snapshot__damaged(tmp_path: Path) -> None:
    """A damaged snapshot is an error that says what to do, never a silent start."""
    (tmp_path / "lines.json").write_text('{"states": {"news": "xx"}')

    with pytest.raises(SettingsError, match="remove it"):
        Lines(tmp_path)


async def test_admin__abort(house: House, student: ServedModel) -> None:
    """Abort acts on the very next request, is on disk when acknowledged, and the controller hears who and why."""
    await house.serve(**canary(student))
    before = (await house.chat())[1][answer.VARIANT]
    body = {"who": "ada", "why": "wrong labels"}
    async with house.http.post(f"{house.admin}/rollouts/news/abort", json=body) as response:
        said = await response.json()
    written = (house.settings.state_dir / f"router-{house.settings.router_port}" / "lines.json").read_text()
    after = (await house.chat())[1][answer.VARIANT]
    house.router.apply([newer(state(epoch=1, sequence=5), challenger=student, weight=1.0)])
    raised = (await house.chat())[1][answer.VARIANT]
    commands = [record for record in house.kept.records if isinstance(record, RolloutCommand)]

    assert (before, after, raised) == ("challenger", "champion", "champion")
    assert (response.status, said["acknowledged"], said["line"]["weight"]) == (200, True, 0.0)
    assert '"kind": "abort"' in written
    assert [(c.action, c.rollout_id, c.who, c.why) for c in commands] == [
        (RolloutAction.ABORT, ROLLOUT, "ada", "wrong labels")
    ]


async def test_admin__hold_and_resume(house: House, student: ServedModel) -> None:
    """A local hold freezes the weight against a raise until it is lifted."""
    await house.serve(**canary(student, 0.0))
    async with house.http.post(f"{house.admin}/rollouts/news/hold") as response:
        held = response.status
    await house.serve(**canary(student, 1.0, sequence=2))
    frozen = (await house.chat())[1][answer.VARIANT]
    async with house.http.post(f"{house.admin}/rollouts/news/resume") as response:
        lifted = response.status

    assert (held, frozen, lifted) == (200, "champion", 200)
    assert (await house.chat())[1][answer.VARIANT] == "challenger"


async def test_admin__nothing_to_lower(house: House) -> None:
    """Where no rollout runs, abort says so and does not pretend."""
    async with house.http.post(f"{house.admin}/rollouts/news/abort") as response:
        assert response.status == 409
    async with house.http.post(f"{house.admin}/rollouts/other/abort") as response:
        assert response.status == 404


async def test_admin__browser(house: House) -> None:
    """A page in a browser cannot lower a rollout: a request with an origin is refused."""
    async with house.http.post(f"{house.admin}/rollouts/news/abort", headers={"Origin": "http://evil"}) as response:
        assert response.status == 403


async def test_admin__token(house: House) -> None:
    """With a token set, admin routes ask for it and probes do not."""
    settings = RouterSettings(admin_token=SecretStr("right"), admin_host="0.0.0.0")
    router = house.router
    admin = Admin(settings, router.workloads, router.lines, router.students, house.kept, lambda: None)
    from aiohttp.test_utils import TestClient, TestServer

    async with TestClient(TestServer(admin.application(lambda: None))) as client:
        codes = [
            (await client.get("/rollouts")).status,
            (await client.get("/rollouts", headers={"Authorization": "Bearer wrong"})).status,
            (await client.get("/rollouts", headers={"Authorization": "Bearer right"})).status,
            (await client.get("/readyz")).status,
        ]

    assert codes == [401, 401, 200, 200]


def test_admin__open_to_the_world_without_a_token(tmp_path: Path) -> None:
    """The router refuses to offer admin outside loopback without a token."""
    settings = RouterSettings(admin_host="0.0.0.0")
    with pytest.raises(SettingsError, match="MILLRACE_ADMIN_TOKEN"):
        Admin(settings, {}, None, None, None, lambda: None)  # type: ignore[arg-type]


async def test_traffic_port__no_admin(house: House) -> None:
    """Admin routes and probes do not exist on the traffic port."""
    codes = [(await house.http.get(f"{house.url}/{path}")).status for path in ("rollouts", "metrics", "healthz")]

    assert codes == [404, 404, 404]


async def test_students__restarted_server(house: House, student: ServedModel) -> None:
    """While the student server is away the teacher answers everything; when it is back the adapter is loaded again."""
    await house.serve(state=RolloutState.PROMOTED, champion=student)
    await house.stop_students()
    away = [(await house.chat(f"{i}"))[2]["model"] for i in range(5)]
    await house.restart_students()
    await until(lambda: house.router.students.ready(student))

    assert away == ["big"] * 5
    assert house.students.loads == ["news-1", "news-1"]
    assert (await house.chat())[2]["model"] == "news-1"


async def test_students__forgotten_adapter(house: House, student: ServedModel) -> None:
    """An adapter that a running server lost is noticed at the first request, which the teacher answers."""
    await house.serve(state=RolloutState.PROMOTED, champion=student)
    house.students.loaded.clear()
    first = (await house.chat())[2]["model"]
    await until(lambda: len(house.students.loads) == 2 and house.router.students.ready(student))

    assert first == "big"
    assert (await house.chat())[2]["model"] == "news-1"


async def test_students__not_the_same_model(house: House, student: ServedModel) -> None:
    """A challenger whose served probes differ from its recorded ones gets no traffic, whatever its weight."""
    house.students.probe = [0.2, 0.1, 0.7]
    house.router.apply([state(challenger=student, weight=1.0)])
    house.router.confirm()
    await until(lambda: len(house.students.loads) == 1)
    await asyncio.sleep(0)
    variants = {(await house.chat(str(i)))[1][answer.VARIANT] for i in range(5)}

    assert variants == {"champion"}
    assert not house.router.students.ready(student)


def test_files__altered(tmp_path: Path) -> None:
    """An adapter whose files differ from the promoted digest, or that lies elsewhere, is refused by name."""
    student, root = adapter(tmp_path), (tmp_path / "adapters").resolve()
    assert len(verified(student, root)) == 4
    with pytest.raises(ContractError, match="is not inside the root"):
        verified(student, (tmp_path / "other").resolve())
    (Path(student.uri) / "adapter_model.safetensors").write_bytes(b"weightz")
    with pytest.raises(ContractError, match=r"adapter_model\.safetensors"):
        verified(student, root)
    with pytest.raises(ContractError, match="not 0 as asked for"):
        verified(ServedModel(**{**vars(student), "manifest_sha256": "0"}), root)


def test_capture__kafka_down(tmp_path: Path) -> None:
    """With Kafka away the queue fills, then records are dropped and counted; offering never waits."""
    from prometheus_client import REGISTRY

    capture = Capture(RouterSettings(bootstrap_servers="127.0.0.1:1", capture_queue=50))
    command = RolloutCommand(command_id="c", workload="news", who="w", why="y", time=TIME)
    taken = [capture.offer(OUTCOMES, "news", command) for _ in range(500)]
    dropped = REGISTRY.get_sample_value(
        "millrace_router_capture_dropped_total", {"topic": "outcomes", "reason": "queue_full"}
    )
    capture._stopping.set()

    assert taken.count(False) == dropped
    assert 350 <= taken.count(False) <= 450
