"""The rollout commands: see a rollout, and command it.

A command goes to the controller by Kafka and counts once a status names it. Abort besides calls every router's admin
address, acts there at once with Kafka down, and succeeds only if every router acknowledged.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
import uuid
from datetime import UTC, datetime
from typing import Final

import aiohttp
import orjson
from rich.console import Console
from rich.table import Table

from deploy.commands.rollout.settings import RolloutSettings
from deploy.edge.process import guarded_http
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import end_of, follow, read_records
from deploy.edge.topics.writing import write_one
from schemas.errors import RecordRejected, Unavailable
from schemas.events import ModelState, RolloutAction, RolloutCommand, RolloutStatus
from schemas.principals import Principal
from schemas.rules.partition import partition_of
from schemas.topics import MODEL_STATE, PARTITIONS, ROLLOUT_COMMANDS, ROLLOUT_STATUS

ACKNOWLEDGE_SECONDS: Final = 20.0
ROUTER_SECONDS: Final = 5.0
IGNORED: Final = "command_ignored"


def status_of(settings: Settings, workload: str) -> tuple[ModelState | None, list[RolloutStatus]]:
    """Return a line's state and its statuses, oldest first."""
    framing, reader = Framing(settings), Principal.ROLLOUT_COMMAND
    states = read_records(settings, reader, framing, MODEL_STATE, ModelState, workload)
    newest = max(states, key=lambda state: (state.epoch, state.sequence), default=None)
    return newest, list(read_records(settings, reader, framing, ROLLOUT_STATUS, RolloutStatus, workload))


def send(settings: Settings, command: RolloutCommand) -> RolloutStatus | None:
    """Send a command and wait for the status that names it; None: the controller did not answer in time.

    Raises:
        Unavailable: the command did not reach Kafka.
    """
    partition, framing = partition_of(command.workload, PARTITIONS), Framing(settings)
    end = end_of(settings, Principal.ROLLOUT_COMMAND, ROLLOUT_STATUS, partition)
    value = framing.encode(ROLLOUT_COMMANDS, command)
    # No transaction: of two people who command at once, none fences the other off.
    write_one(settings, Principal.ROLLOUT_COMMAND, ROLLOUT_COMMANDS, partition, command.workload.encode(), value)
    arriving = follow(settings, Principal.ROLLOUT_COMMAND, ROLLOUT_STATUS, partition, end, ACKNOWLEDGE_SECONDS)
    answers = (_answering(framing, raw.value() or b"", command) for raw in arriving)
    return next((status for status in answers if status is not None), None)


def _answering(framing: Framing, value: bytes, command: RolloutCommand) -> RolloutStatus | None:
    try:
        status = framing.decode(RolloutStatus, value)
    except RecordRejected:
        return None
    return status if status.command_id == command.command_id else None


async def abort_at_routers(settings: RolloutSettings, workload: str, who: str, why: str) -> dict[str, str | None]:
    """Ask every router to abort; return what went wrong by address, None where it was acknowledged."""
    headers = {"Content-Type": "application/json"}
    if settings.admin_token is not None:
        headers["Authorization"] = f"Bearer {settings.admin_token.get_secret_value()}"
    body = orjson.dumps({"who": who, "why": why})
    async with guarded_http.session(settings.allowed_hosts, connections=0, timeout_seconds=ROUTER_SECONDS) as session:

        async def abort(url: str) -> str | None:
            try:
                async with session.post(f"{url}/rollouts/{workload}/abort", data=body, headers=headers) as response:
                    said = orjson.loads(await response.read())
                    return None if response.status == 200 and said.get("acknowledged") else str(said.get("error"))
            except (aiohttp.ClientError, OSError, TimeoutError, orjson.JSONDecodeError) as error:
                return guarded_http.cause(error)

        urls = [guarded_http.check_url("MILLRACE_ROUTER_ADMIN_URLS", url, settings.allowed_hosts)
                for url in settings.router_admin_urls]  # fmt: skip
        return dict(zip(urls, await asyncio.gather(*(abort(url) for url in urls)), strict=True))


def show(workload: str, state: ModelState | None, statuses: list[RolloutStatus]) -> None:
    """Print a line and its newest statuses."""
    console = Console()
    if state is None:
        console.print(f"{workload}: no rollout yet; the teacher answers")
    else:
        champion = state.champion.version if state.champion else "the teacher"
        challenger = state.challenger.version if state.challenger else "none"
        console.print(f"[bold]{workload}[/]  {state.state.value.lower()} ({state.reason})  weight {state.weight:.0%}")
        console.print(f"champion {champion}   challenger {challenger}   epoch {state.epoch}.{state.sequence}")
    if not statuses:
        return
    table = Table(
        "time", "epoch", "state", "reason", "weight", "agreement", "errors", "by", "why", box=None, pad_edge=False
    )
    for status in statuses[-20:]:
        numbers = status.numbers
        table.add_row(
            f"{status.time:%Y-%m-%d %H:%M:%S}", f"{status.epoch}.{status.sequence}", status.state.value.lower(),
            status.reason, f"{status.weight:.0%}", _interval(numbers, "agreement"), _interval(numbers, "errors"),
            status.actor, status.text,
        )  # fmt: skip
    console.print(table)


def _interval(numbers: dict[str, float], name: str) -> str:
    if not numbers.get(f"{name}_n"):
        return "no data"
    return f"{numbers[f'{name}_low']:.3f} to {numbers[f'{name}_high']:.3f} (n={numbers[f'{name}_n']:.0f})"


def _command(workload: str, action: RolloutAction, why: str) -> RolloutCommand:
    return RolloutCommand(
        command_id=uuid.uuid4().hex, workload=workload, who=getpass.getuser(), why=why, time=datetime.now(UTC),
        action=action,
    )  # fmt: skip


def _command_controller(settings: Settings, command: RolloutCommand) -> bool:
    """Send a command, print its result, and return whether the controller acted on it.

    Raises:
        Unavailable: the command did not reach Kafka.
    """
    status = send(settings, command)
    if status is None:
        waited = f"no acknowledgement within {ACKNOWLEDGE_SECONDS:.0f} s"
        print(f"controller: the command was sent, but {waited}; does `millrace worker` run?", file=sys.stderr)
        return False
    if status.reason == IGNORED:
        print(f"controller: {status.text}", file=sys.stderr)
        return False
    print(f"controller: {status.state.value.lower()}, weight {status.weight:.0%}")
    return True


def show_status(settings: RolloutSettings, workload: str | None) -> None:
    """Print the state of a workload's rollout; None: the only workload."""
    name = settings.workload(workload).name
    show(name, *status_of(settings, name))


def command(settings: RolloutSettings, workload: str | None, action: str, why: str) -> bool:
    """Send a command to the controller, and say whether it acted on it."""
    return _command_controller(settings, _command(settings.workload(workload).name, RolloutAction(action), why))


def abort(settings: RolloutSettings, workload: str | None, why: str) -> bool:
    """Abort at every router at once, and say whether all acknowledged; if not, the controller is asked too."""
    wanted = _command(settings.workload(workload).name, RolloutAction.ABORT, why)
    wrong = asyncio.run(abort_at_routers(settings, wanted.workload, wanted.who, why))
    for url, problem in wrong.items():
        print(f"{url}: {'aborted' if problem is None else 'NOT aborted: ' + problem}")
    if any(problem is not None for problem in wrong.values()):
        try:
            _command_controller(settings, wanted)  # the routers that acted inform the controller themselves
        except Unavailable as error:
            print(f"controller: NOT reached: {error}", file=sys.stderr)
        return False
    return True
