"""From `traffic` to committed `curated`, or into the window: `python -m benchmarks.latency [--to window]`.

A producer at a steady rate, the worker as a process, a read_committed reader. A record's time runs from when it was due
to be sent, so that a producer that falls behind hides nothing, to when the reader has it; 5 ms of it are the producer's
linger. A row is in the window when the window stage's offset passes its label: the row is on disk before that. All
records carry an answer there, for a teacher's time is not ours, and no retrain is asked for: a snapshot of 5,000 rows
holds the window for about 0.7 s. Intervals: bootstrap over whole seconds, since the records of one batch are late
together.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import click
import numpy as np

from benchmarks.commits import watching
from benchmarks.contenders import MILLRACE, TO_THE_WINDOW, running
from benchmarks.ground import NEWSWIRE, Feed, Ground, draw, fill, ground
from benchmarks.outcomes import Arrival, reading
from benchmarks.peers.curation import ENDINGS
from deploy.edge.topics.clients import topic_name
from deploy.trial.simulate.forms import Wire
from schemas.arrays import Floats
from schemas.codec import decode
from schemas.principals import Principal
from schemas.records import CuratedRecord, LabelRecord
from schemas.rules.partition import partition_of
from schemas.rules.statistics.intervals import Interval
from schemas.topics import CURATED, LABELS, PARTITIONS

WARM_SECONDS: Final = 3  # at the rate, before records count
PROMISED_MS: Final = {"curated": 250.0, "window": 600.0}  # p99 at PROMISED_RATE on an otherwise idle machine
PROMISED_RATE: Final = 1_000
_DRAWS: Final = 1_000
_QUANTILES: Final = (0.50, 0.99)


def quantiles(due: Floats, late: Floats, seed: int) -> list[Interval]:
    """Return p50 and p99 with their intervals: whole seconds are drawn with replacement.

    Args:
        due: when each record was due, in seconds. (records,)
        late: how long it took, in milliseconds. (records,)
        seed: of the draws.
    """
    second = np.floor(due - due.min()).astype(np.int64)
    blocks = [late[second == one] for one in np.unique(second)]
    rng = np.random.default_rng(seed)
    drawn = [
        np.quantile(np.concatenate([blocks[i] for i in rng.integers(len(blocks), size=len(blocks))]), _QUANTILES)
        for _ in range(_DRAWS)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    whole = np.quantile(late, _QUANTILES)
    return [Interval(float(v), float(a), float(b)) for v, a, b in zip(whole, low, high, strict=True)]


def _told(milliseconds: Interval) -> str:
    return f"{milliseconds.value:.0f} ({milliseconds.low:.0f}-{milliseconds.high:.0f})"


def times(arrivals: Sequence[Arrival], curated: str, due: Sequence[float]) -> tuple[Floats, Floats]:
    """Return when each curated record was due after the start, and how many milliseconds it took.

    Args:
        arrivals: all outputs.
        curated: the name of the topic whose outputs count.
        due: when the record at each offset was due; the one at 0 came before the clock started.
    """
    found: list[tuple[float, float]] = []
    for at, topic, _, value in arrivals:
        if topic == curated and (offset := decode(CuratedRecord, value).origin.offset):
            found.append((due[offset] - due[1], (at - due[offset]) * 1e3))
    table = np.array(found)
    return table[:, 0], table[:, 1]


def times_to_window(
    curated: Mapping[int, int], labels: Mapping[int, int], commits: Sequence[tuple[float, int]], due: Sequence[float]
) -> tuple[Floats, Floats]:
    """Return when each label's traffic record was due after the start, and how many milliseconds until it was a row.

    Args:
        curated: by offset in `curated`, the offset in `traffic` it came from.
        labels: by offset in `labels`, the offset in `curated` it came from.
        commits: when the window stage's offset in `labels` was seen, and what it was; in order.
        due: when the record at each offset of `traffic` was due; the one at 0 came before the clock started.
    """
    moments, offsets = (np.array(column) for column in zip(*commits, strict=True))
    places = np.array(sorted(labels))
    came = np.array([curated[labels[place]] for place in places])
    at = moments[np.searchsorted(offsets, places, side="right")]  # the first commit above the label
    begun = np.array(due)[came]
    timed = came > 0
    return begun[timed] - due[1], (at - begun)[timed] * 1e3


def _run_to_window(place: Ground, wires: Sequence[Wire], rate: int) -> tuple[Floats, Floats]:
    """Send the records at a steady rate; return when each label was due and how long it took into the window."""
    with (
        place.laid(retrains=False) as settings,
        reading(settings, ENDINGS) as outcomes,
        reading(settings, (LABELS,)) as labelled,
        running(TO_THE_WINDOW, settings) as (worker,),
        watching(settings, Principal.WINDOW, LABELS, partition_of(NEWSWIRE, PARTITIONS)) as commits,
    ):
        fill(settings, wires[:1])
        labelled.seen(1, worker.check)  # the worker has started
        due = _send(Feed(settings), wires[1:], rate)
        outcomes.seen(len(wires), worker.check)
        labelled.seen(outcomes.counts()[CURATED.name], worker.check)
        labels = {one.offset: decode(LabelRecord, one.value).origin.offset for one in labelled.arrivals}
        commits.passed(max(labels), worker.check)
        name = topic_name(settings, CURATED)
        curated = {
            one.offset: decode(CuratedRecord, one.value).origin.offset for one in outcomes.arrivals if one.topic == name
        }
        return times_to_window(curated, labels, commits.seen, [0.0, *due])


def _run(place: Ground, wires: Sequence[Wire], rate: int) -> tuple[Floats, Floats]:
    """Send the records at a steady rate; return when each was due and how long it took."""
    with place.laid() as settings, reading(settings, ENDINGS) as outcomes, running(MILLRACE, settings) as (worker,):
        fill(settings, wires[:1])
        outcomes.seen(1, worker.check)  # the worker has started
        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(outcomes.seen, len(wires), worker.check)
            due = _send(Feed(settings), wires[1:], rate)
            reader.result()
        return times(outcomes.arrivals, topic_name(settings, CURATED), [0.0, *due])


def _send(feed: Feed, wires: Sequence[Wire], rate: int) -> list[float]:
    """Send each record when it is due; return when that was."""
    start = time.monotonic() + 0.1
    due = [start + number / rate for number in range(len(wires))]
    for moment, wire in zip(due, wires, strict=True):
        early = moment - time.monotonic()
        if early > 0:
            time.sleep(early)
        feed.send(wire)
    feed.settle()
    return due


def _rates(_: click.Context, __: click.Parameter, value: str) -> list[int]:
    try:
        rates = [int(one) for one in value.split(",")]
    except ValueError:
        rates = []
    if not rates or min(rates) < 1:
        raise click.BadParameter(f"{value!r}: whole numbers of records per second, such as 100,1000")
    return rates


@click.command()
@click.option("--rates", default="100,1000,5000", show_default=True, callback=_rates, help="Records a second.")
@click.option("--seconds", default=20, show_default=True, type=click.IntRange(2), help="At each rate.")
@click.option(
    "--to", "end", default="curated", show_default=True, type=click.Choice(list(PROMISED_MS)), help="Where it ends."
)
@click.option("--seed", default=7, show_default=True)
def main(rates: list[int], seconds: int, end: str, seed: int) -> None:
    """Measure each rate and print the figures; the last line is JSON."""
    run = _run if end == "curated" else _run_to_window
    wires = draw(max(rates) * (seconds + WARM_SECONDS) + 1, seed, answered=end == "window")
    load = os.getloadavg()
    print(f"load of the machine before: {load[0]:.1f}, {load[1]:.1f}, {load[2]:.1f} on {os.cpu_count()} cores")
    print(f"{'records/s':>10}{'n':>9}{'p50 ms (95 %)':>20}{'p99 ms (95 %)':>20}{'worst':>8}")
    found: dict[str, Any] = {}
    with ground() as place:
        for rate in rates:
            due, late = run(place, wires[: rate * (seconds + WARM_SECONDS) + 1], rate)
            warm = due >= WARM_SECONDS
            p50, p99 = quantiles(due[warm], late[warm], seed)
            n = int(warm.sum())
            print(f"{rate:10,}{n:9,}{_told(p50):>20}{_told(p99):>20}{late[warm].max():8.0f}", flush=True)
            found[str(rate)] = (
                {"n": n}
                | {name: round(one.value, 1) for name, one in (("p50_ms", p50), ("p99_ms", p99))}
                | {"p99_interval_ms": [round(p99.low, 1), round(p99.high, 1)]}
            )
            if rate == PROMISED_RATE:
                print(f"           promised: p99 <= {PROMISED_MS[end]:.0f} ms on an otherwise idle machine")
    print(f"intervals: bootstrap over whole seconds, {_DRAWS:,} draws, percentile; {seconds} s at each rate")
    print(json.dumps({"to": end, "load": round(load[0], 1), "rates": found}))


if __name__ == "__main__":
    main()
