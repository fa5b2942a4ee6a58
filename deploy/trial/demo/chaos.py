"""`CHAOS=1`: kills each process once, with SIGKILL, while it has work in hand, and keeps a log of what was hit."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import Final

from deploy.infra.machine.machine import Machine
from deploy.trial.demo.observe import Observer, TopicTally
from schemas.errors import Unavailable
from schemas.events import RolloutState, RunState
from schemas.topics import CURATED, LABELS, TRAFFIC

_PATIENCE_SECONDS: Final = 540.0
_RECIPE: Final = "trainers.recipe"


@dataclass
class Chaos:
    """The kills of one play. Each waits for the moment in which its victim is at work."""

    machine: Machine
    observer: Observer
    hits: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Begin to wait for the five moments, in a thread."""
        threading.Thread(target=self._go, name="chaos", daemon=True).start()

    def _go(self) -> None:
        moments = (
            ("worker", lambda t: 300 < t.records[LABELS.name] < t.records[CURATED.name] <= t.records[TRAFFIC.name]),
            ("dispatcher", lambda t: _phase(t, RunState.PROGRESS)),
            (_RECIPE, lambda t: _phase(t, RunState.PROGRESS) and t.runs[-1].loss is not None),
            ("router", lambda t: t.state is not None and t.state.state is RolloutState.SHADOW),
            # Requests in flight to a student that dies count against it, so this comes when it has answered hundreds.
            ("students", lambda t: t.state is not None and t.state.state is RolloutState.CANARY and t.state.step >= 1),
        )
        for victim, moment in moments:
            if self.observer.wait_for(moment, _PATIENCE_SECONDS):
                self._kill(victim)

    def _kill(self, victim: str) -> None:
        tally = self.observer.tally
        try:
            pid = self._kill_recipe() if victim == _RECIPE else self.machine.kill(victim)
        except (Unavailable, ProcessLookupError) as error:
            self.hits.append(f"{victim}: not hit ({error})")
            return
        seen = f"{tally.records[TRAFFIC.name]} traffic, {tally.records[LABELS.name]} labels"
        self.hits.append(f"{victim}: SIGKILL to process {pid} at {seen}")

    def _kill_recipe(self) -> int:
        running = self.machine.running(_RECIPE)
        if not running:
            raise Unavailable("no recipe runs")
        os.kill(running[0], SIGKILL)
        return running[0]


def _phase(tally: TopicTally, state: RunState) -> bool:
    return bool(tally.runs) and tally.runs[-1].state is state
