"""When the worker looks for reference cycles."""

from __future__ import annotations

import subprocess
import sys

from streams.core.gc_schedule import generation_due


def test_generation_due__the_old_are_looked_at_last() -> None:
    """Every second the youngest, every half minute those before them, every ten minutes all."""
    assert [number for number in range(1, 1_201) if generation_due(number) == 2] == [600, 1_200]
    assert [number for number in range(1, 121) if generation_due(number) == 1] == [30, 60, 90, 120]
    assert generation_due(1) == 0


def test_collect_by_the_clock__still_finds_cycles() -> None:
    """Cycles are freed without anyone asking, though Python's own collecting is off."""
    program = (
        "import threading, weakref\n"
        "from streams.core.gc_schedule import collect_by_the_clock\n"
        "class Node: pass\n"
        "collect_by_the_clock()\n"
        "freed = threading.Event()\n"
        "node = Node(); node.itself = node; weakref.finalize(node, freed.set)\n"
        "del node\n"
        "raise SystemExit(0 if freed.wait(20) else 1)\n"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
