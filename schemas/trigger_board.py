"""The state of a workload's triggers now: what the worker writes to a file and `millrace triggers explain` shows.

Plain classes, standard library only. The file is a view: nothing is decided by it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.events import TriggerVerdict


@dataclass(frozen=True, kw_only=True)
class TriggerBoard:
    """What every trigger of one workload says, and what would come of it."""

    workload: str
    time: datetime
    epoch: int  # of the last request
    new_labels: int  # since the last request
    mode: str
    rule: str
    asks: str | None  # the trigger that asks for a retrain
    held_back: str | None  # why no request could be made now, in one sentence
    verdicts: list[TriggerVerdict] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the board as JSON."""
        return json.dumps(dataclasses.asdict(self) | {"time": self.time.isoformat()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TriggerBoard:
        """Return the board that `to_json` wrote.

        Raises:
            ValueError: the text is no JSON. TypeError, KeyError: a field is missing or unknown.
        """
        values: dict[str, Any] = json.loads(text)
        verdicts = [TriggerVerdict(**verdict) for verdict in values.pop("verdicts")]
        return cls(time=datetime.fromisoformat(values.pop("time")), verdicts=verdicts, **values)


def board_file(state_dir: Path, workload: str) -> Path:
    """Return where a worker keeps a workload's board."""
    return state_dir / "triggers" / f"{workload}.json"
