"""How often the triggers alarm for nothing, how soon they see a shift, and if retraining by them pays.

False alarms: streams in which nothing changes (trigger_streams.py says what a stream is), judged after every label.
Delays: labels from the start of a planted shift until a trigger fires. `teacher-drift` looks at rounds of anchors, not
at labels: its streams (trigger_anchors.py) and delays are counted in rounds. Replay: trigger_replay.py. Seeded; the
last line is JSON. Five minutes on two busy cores.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from typing import Any

import click
from scipy.stats import beta

from benchmarks import trigger_anchors
from benchmarks.trigger_anchors import ANCHORS, LIMIT, SWAPS
from benchmarks.trigger_replay import replay
from benchmarks.trigger_streams import ALPHA, NAMES, SHIFTS, alarms
from streams.triggers import teacher_drift

Found = list[dict[str, int]]


def share(hits: int, n: int) -> tuple[float, float, float]:
    """Return a share with its 95 % interval (Clopper-Pearson)."""
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return hits / n, low, high


def false_alarms(pool: Executor, streams: int, labels: int, seed: int) -> dict[str, dict[str, Any]]:
    """Return each trigger's share of streams with a false alarm."""
    seeds = range(seed, seed + streams)
    found: Found = list(pool.map(partial(alarms, most=labels), seeds, chunksize=10))
    figures: dict[str, dict[str, Any]] = {}
    print(f"\nNothing changed: {streams:,} streams of {labels:,} labels, nominal {ALPHA:.1%} between two requests")
    print(f"{'trigger':14}{'false alarms':>14}{'95 % interval':>20}")
    for name in NAMES:
        rate, low, high = share(sum(name in one for one in found), streams)
        print(f"{name:14}{rate:14.2%}{f'{low:.2%} to {high:.2%}':>20}", flush=True)
        figures[name] = {
            "nominal": ALPHA,
            "false_alarm_rate": rate,
            "interval": [low, high],
            "n": streams,
            "delay_by_shift": {},
        }
    return figures


def delays(pool: Executor, figures: dict[str, dict[str, Any]], streams: int, labels: int, seed: int) -> None:
    """Add to each trigger after how many labels it sees each shift."""
    print(
        f"\nMedian labels from a shift to the alarm (and share of {streams} streams that saw it in {labels:,} labels)"
    )
    print(f"{'shift':34}" + "".join(f"{name:>18}" for name in NAMES))
    for number, title in enumerate(SHIFTS, start=1):
        seeds = range(seed + 1_000_000 * number, seed + 1_000_000 * number + streams)
        found: Found = list(pool.map(partial(_shifted, title=title, most=labels), seeds, chunksize=5))
        cells = []
        for name in NAMES:
            seen = [one[name] for one in found if one.get(name, 0) > 0]
            median = statistics.median(seen) if seen else None
            figures[name]["delay_by_shift"][title] = {"median": median, "seen": len(seen) / streams, "n": streams}
            cells.append(f"{median:,.0f} ({len(seen) / streams:.0%})" if len(seen) >= streams / 10 else "-")
        print(f"{title:34}" + "".join(f"{one:>18}" for one in cells), flush=True)


def anchors(pool: Executor, streams: int, rounds: int, seed: int) -> dict[str, Any]:
    """Return the figures of `teacher-drift`: its false alarms, and after how many rounds it sees another teacher."""
    rate, low, high = share(len(_alarms(pool, streams, rounds, seed, 0.0)), streams)
    print(f"\nteacher-drift: {streams:,} streams of {rounds} rounds of {ANCHORS} anchors, {LIMIT:.0%} may change")
    print(f"nothing changed: {rate:.2%} alarm ({low:.2%} to {high:.2%}), nominal {ALPHA:.1%}")
    delay_by_shift = {}
    for number, swapped in enumerate(SWAPS, start=1):
        seen = _alarms(pool, streams, rounds, seed + 1_000_000 * number, swapped)
        median, title = statistics.median(seen) if seen else None, f"teacher swap: {swapped:.0%} other labels"
        delay_by_shift[title] = {"median": median, "seen": len(seen) / streams, "n": streams}
        first = seen.count(1) / streams
        print(f"{title:34} seen by {len(seen) / streams:.1%}, by {first:.1%} in the first round, median {median}")
    return {
        "nominal": ALPHA,
        "false_alarm_rate": rate,
        "interval": [low, high],
        "n": streams,
        "delay_by_shift": delay_by_shift,
        "delay_in": "rounds",
    }


def _alarms(pool: Executor, streams: int, rounds: int, seed: int, swapped: float) -> list[int]:
    asked = partial(trigger_anchors.alarm, rounds=rounds, swapped=swapped)
    return [one for one in pool.map(asked, range(seed, seed + streams), chunksize=25) if one is not None]


def _shifted(seed: int, title: str, most: int) -> dict[str, int]:
    return alarms(seed, most, SHIFTS[title])


@click.command()
@click.option("--streams", default=1_000, show_default=True, help="Streams in which nothing changes.")
@click.option("--labels", default=1_500, show_default=True, help="Labels after the request of such a stream.")
@click.option("--shifted", default=30, show_default=True, help="Streams of each planted shift.")
@click.option("--most", default=3_000, show_default=True, help="Labels after a planted shift.")
@click.option("--rounds", default=30, show_default=True, help="Rounds of anchors after the request.")
@click.option("--seeds", default=4, show_default=True, help="Replays, each with shifts at other places.")
@click.option("--seed", default=13, show_default=True)
@click.option("--processes", default=os.cpu_count() or 1, show_default=True)
def main(
    streams: int, labels: int, shifted: int, most: int, rounds: int, seeds: int, seed: int, processes: int
) -> None:
    """Simulate, replay and print."""
    began = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        figures = false_alarms(pool, streams, labels, seed)
        delays(pool, figures, shifted, most, seed)
        figures[teacher_drift.NAME] = anchors(pool, streams, rounds, seed)
        replayed = replay(pool, seeds, seed)
    print(f"\n{time.monotonic() - began:.0f} s")
    print(json.dumps({"triggers": figures, "replay": replayed}))


if __name__ == "__main__":
    main()
