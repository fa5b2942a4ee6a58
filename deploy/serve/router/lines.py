"""What the lines of this router serve: the controller's states, local caps that only lower, and a file that keeps both.

Only a higher (epoch, sequence) is applied. The lower of the controller's weight and the local cap wins.
Until model-state was read to its end once, nothing is raised: the snapshot's champion answers, else the teacher.
Speaks no Kafka.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final

from deploy.serve.router.assign import LineView
from schemas.codec import decode, encode
from schemas.errors import RecordRejected, SettingsError
from schemas.events import ModelState, RolloutState
from schemas.promotion import ModelPromotion, RolloutLimits

SNAPSHOT: Final = "lines.json"
_IN_FLIGHT: Final = (RolloutState.SHADOW, RolloutState.CANARY, RolloutState.HOLD, RolloutState.PROMOTING)


class CapKind(StrEnum):
    """How a person lowered a rollout on this router."""

    ABORT = "abort"  # the challenger gets nothing any more, also if the controller promotes it meanwhile
    HOLD = "hold"  # the weight may not rise above what it was


@dataclass(frozen=True)
class Cap:
    """One local override of one rollout, and the command that reports it to the controller."""

    kind: CapKind
    rollout_id: str
    weight: float
    command_id: str
    who: str
    why: str
    time: str  # ISO 8601, UTC
    acknowledged: bool = False  # the broker has the command


class Lines:
    """The model lines of this router."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / SNAPSHOT
        self._lock = _locked(folder)
        self._saving = threading.Lock()
        self._states: dict[str, ModelState] = {}
        self._limits: dict[str, RolloutLimits | None] = {}  # by workload: what came with the nomination in flight
        self._caps: dict[str, Cap] = {}
        self.confirmed = False  # model-state was read to its end since this start
        self._load()

    def apply(self, state: ModelState) -> bool:
        """Take over a state if it is newer than what is known; return whether it was."""
        known = self._states.get(state.workload)
        if known is not None and (state.epoch, state.sequence) <= (known.epoch, known.sequence):
            return False
        self._states[state.workload], self._limits[state.workload] = state, _limits_of(state)
        cap = self._caps.get(state.workload)
        if cap is not None and cap.acknowledged and state.rollout_id != cap.rollout_id:
            del self._caps[state.workload]
        return True

    def state(self, workload: str) -> ModelState | None:
        """Return the newest state known of a line."""
        return self._states.get(workload)

    def states(self) -> dict[str, ModelState]:
        """Return the newest state of every line."""
        return dict(self._states)

    def cap(self, workload: str) -> Cap | None:
        """Return the local override of a line."""
        return self._caps.get(workload)

    def caps(self) -> dict[str, Cap]:
        """Return every local override."""
        return dict(self._caps)

    def lower(self, workload: str, cap: Cap) -> None:
        """Put a local override in force; an abort is never weakened into a hold of the same rollout."""
        known = self._caps.get(workload)
        if known and known.kind is CapKind.ABORT and known.rollout_id == cap.rollout_id and cap.kind is CapKind.HOLD:
            return
        self._caps[workload] = cap

    def release(self, workload: str) -> bool:
        """Lift a local hold, return whether there was one; an abort stays until the controller closed the rollout."""
        cap = self._caps.get(workload)
        if cap is None or cap.kind is not CapKind.HOLD:
            return False
        del self._caps[workload]
        return True

    def acknowledge(self, workload: str, command_id: str) -> None:
        """Note that the controller's topic holds the command of a local override."""
        cap = self._caps.get(workload)
        if cap is not None and cap.command_id == command_id:
            self._caps[workload] = replace(cap, acknowledged=True)

    def view(self, workload: str) -> LineView:
        """Return what the line serves here, before it is known which students are loaded."""
        state = self._states.get(workload)
        if state is None:
            return LineView()
        view = LineView(
            champion=state.champion, epoch=state.epoch, sequence=state.sequence, rollout_id=state.rollout_id
        )
        cap = self._caps.get(workload)
        cap = cap if cap is not None and cap.rollout_id == state.rollout_id else None
        if cap is not None and cap.kind is CapKind.ABORT:
            return replace(view, champion=state.former) if state.state is RolloutState.PROMOTED else view
        if not self.confirmed or state.state not in _IN_FLIGHT or state.challenger is None:
            return view
        weight = min(state.weight, cap.weight) if cap is not None else state.weight
        return replace(
            view, challenger=state.challenger, weight=weight, shadow=state.shadow, limits=self._limits.get(workload)
        )

    def save(self) -> None:
        """Write states and overrides so that they survive a power cut."""
        with self._saving:
            self._write()

    def _write(self) -> None:
        states, caps = dict(self._states), dict(self._caps)
        values = {
            "format": "millrace-router/1",
            "states": {name: base64.b64encode(encode(state)).decode() for name, state in states.items()},
            "caps": {name: _written(cap) for name, cap in caps.items()},
        }
        fresh = self._file.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Let another router use the folder."""
        self._lock.close()

    def _load(self) -> None:
        if not self._file.is_file():
            return
        try:
            values = json.loads(self._file.read_text())
            states = [decode(ModelState, base64.b64decode(data)) for data in values["states"].values()]
            caps = {name: _read(cap) for name, cap in values["caps"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecordRejected) as error:
            raise SettingsError(
                "state_dir",
                str(self._file),
                f"is damaged ({type(error).__name__}); remove it to start with the teacher",
            ) from error
        self._states = {state.workload: state for state in states}
        self._limits = {state.workload: _limits_of(state) for state in states}
        self._caps = caps


def _written(cap: Cap) -> dict[str, Any]:
    """Return a cap as it is in the file, whose key for `acknowledged` every release reads: `told`."""
    values = asdict(cap)
    return values | {"told": values.pop("acknowledged")}


def _read(values: Mapping[str, Any]) -> Cap:
    known = {one.name for one in fields(Cap)}  # a later release may have written more
    kept = {name: value for name, value in values.items() if name in known}
    return Cap(**kept | {"kind": CapKind(values["kind"]), "acknowledged": values.get("told", False)})


def _limits_of(state: ModelState) -> RolloutLimits | None:
    """Return the limits that came with the nomination; None: it has none, or is of a version that is not known here."""
    try:
        event = decode(ModelPromotion, state.nomination) if state.nomination else None
    except RecordRejected:
        return None
    return event.decision.plan.limits if event and event.decision.plan else None


def _locked(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise SettingsError(
            "state_dir", str(folder), "another router uses this folder; give each its own port or state_dir"
        ) from error
    return lock
