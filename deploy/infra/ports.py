"""Ports for programs that need a number before they bind it.

Numbers are proposed, never looked for: whether one is free is known only when the program binds it. Whoever starts one
raises `PortInUse` when that fails, and other numbers are tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeVar

from schemas.errors import SettingsError

# Below what Linux (32768) and macOS (49152) hand out by themselves; even, since the broker has the port above as well.
PROPOSED: Final = range(20_000, 32_000, 2)
TRIES: Final = 5


Started = TypeVar("Started")


class PortInUse(SettingsError):
    """A port that another program listens on."""


def propose(count: int) -> list[int]:
    """Return different numbers, each with the one above it to itself."""
    return random.SystemRandom().sample(PROPOSED, count)


def on_free_ports(count: int, start: Callable[..., Started]) -> Started:
    """Return what `start` returns for so many ports; while one of them is in use, it is called again with others.

    Raises:
        PortInUse: the last proposal was in use, too.
    """
    for _ in range(TRIES - 1):
        try:
            return start(*propose(count))
        except PortInUse:
            continue
    return start(*propose(count))
