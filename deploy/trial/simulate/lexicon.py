"""The generator's words, read once from lexicon/*.toml: invented, and data rather than code.

A phrase has a fixed place in its list (by hash, so that the order of writing does not matter), and some phrases are
held out of phase 1: traffic of phase 2 says things in words that no training row had.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import Any, Final

HELD_OUT: Final = 5  # one phrase in five, in lists long enough to spare it
SPARES: Final = 8


@dataclass(frozen=True)
class Event:
    """How one class of news is written."""

    label: str
    frames: tuple[str, ...]
    moods: tuple[str, ...]
    slots: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Lexicon:
    """All words of one phase."""

    events: dict[str, Event]  # by label
    slots: dict[str, tuple[str, ...]]
    names: dict[str, tuple[str, ...]]


@cache
def lexicon(phase: int) -> Lexicon:
    """Return the words of a phase: 1 lacks the held-out phrases, later ones have them all."""
    folder = resources.files("deploy.trial.simulate").joinpath("lexicon")
    shared = tomllib.loads(folder.joinpath("shared.toml").read_text("utf-8"))
    events: dict[str, Event] = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml") and file.name != "shared.toml":
            event = tomllib.loads(file.read_text("utf-8"))
            slots = _slots(event["slots"], phase)
            events[event["label"]] = Event(event["label"], tuple(event["frames"]), tuple(event["moods"]), slots)
    names = {name: tuple(words) for name, words in shared["names"].items()}
    return Lexicon(events, _slots(shared["slots"], phase), names)


def _slots(tables: dict[str, Any], phase: int) -> dict[str, tuple[str, ...]]:
    return {name: _phrases(name, words, phase) for name, words in tables.items()}


def _phrases(slot: str, words: list[str], phase: int) -> tuple[str, ...]:
    ranked = sorted(words, key=lambda word: _place(slot, word))
    if phase > 1 or len(ranked) < SPARES:
        return tuple(ranked)
    return tuple(word for word in ranked if _place(slot, word) % HELD_OUT)


def _place(slot: str, word: str) -> int:
    return int.from_bytes(blake2b(f"{slot}\x00{word}".encode(), digest_size=8).digest(), "big")
