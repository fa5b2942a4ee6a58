"""`millrace triggers explain [WORKLOAD]`: the state of each trigger, what holds a request back, the last requests.

The current verdicts are in the worker's state folder, so this runs where the worker runs; the requests come from Kafka.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console

from deploy.commands.triggers import show
from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_records
from schemas.errors import SettingsError
from schemas.events import RetrainRequest
from schemas.principals import Principal
from schemas.topics import RETRAIN_REQUESTS
from schemas.trigger_board import TriggerBoard, board_file


def board_in(settings: Settings, workload: str) -> TriggerBoard | None:
    """Return the board a worker wrote into this state folder, or None.

    Raises:
        SettingsError: there is a file, but of another version, or it cannot be read.
    """
    file = board_file(settings.state_dir, workload)
    try:
        return TriggerBoard.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = f"cannot be read ({type(error).__name__}); the worker rewrites it within half a minute"
        raise SettingsError("state_dir", str(file), remedy) from error


def explain(settings: Settings, workload: str | None, *, as_json: bool) -> None:
    """Print the state of the triggers of a workload, or of all."""
    reader, framing = Principal.TRIGGERS, Framing(settings)
    for name in settings.chosen(workload):
        board = board_in(settings, name)
        requests = list(read_records(settings, reader, framing, RETRAIN_REQUESTS, RetrainRequest, name))
        if as_json:
            print(_json(name, board, requests))
        else:
            _show(settings, name, board, requests)


def _json(name: str, board: TriggerBoard | None, requests: list[RetrainRequest]) -> str:
    now = None if board is None else json.loads(board.to_json())
    asked = [asdict(request) | {"time": request.time.isoformat()} for request in requests]
    return json.dumps({"workload": name, "now": now, "requests": asked}, ensure_ascii=False)


def _show(settings: Settings, name: str, board: TriggerBoard | None, requests: list[RetrainRequest]) -> None:
    console = Console()
    if board is None:
        why = "the worker has seen no label of this workload yet, or keeps its state elsewhere"
        place = f"{board_file(settings.state_dir, name)} is not there: {why}"
        console.print(f"{name}: {place}; then set MILLRACE_STATE_DIR to its folder.", markup=False, soft_wrap=True)
    else:
        show.state(console, board)
    show.requests(console, requests)
