"""How much of a teacher's capacity labelling uses: `python -m benchmarks.labelling`.

A teacher with so many slots and a known service time, as a process of its own; the worker's label stage, as a process,
with the same ceiling whatever the slots; records in `curated` on a real broker. Measured at the teacher: the share of
slot time in use, and its answers beside what its slots can give. Intervals: Student's t over slices of the time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import click
import numpy as np
from confluent_kafka import Producer
from scipy import stats

from benchmarks.contenders import Contender, running
from benchmarks.ground import NEWSWIRE, ROOT, Ground, ground
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.codec import encode
from schemas.records import CuratedRecord, Origin
from schemas.rules.partition import partition_of
from schemas.topics import CURATED, PARTITIONS

WORKER: Final = Contender("millrace", ("streams", "--stages", "label"), ())
SERVICE_SECONDS: Final = {1: 0.1, 4: 0.1, 16: 0.2, 64: 0.5, 256: 2.0}  # 10 to 128 answers per second
CEILING: Final = 512  # teacher.concurrency
WARM_SERVICES: Final = 25  # service times before the clock starts; the limit doubles about every second one
LEAST_WARM_SECONDS: Final = 5.0
SLICES: Final = 10
PROMISED: Final = 0.95
_START_SECONDS: Final = 60.0


@contextmanager
def teacher(slots: int, seconds: float) -> Iterator[str]:
    """Run the teacher's process; yield its address."""
    command = [sys.executable, "-m", "benchmarks.slots", str(slots), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def counts(url: str) -> dict[str, float]:
    """Return what the teacher says of itself."""
    with urllib.request.urlopen(f"{url}/slots", timeout=30) as answer:  # noqa: S310 - our own, on loopback
        found: dict[str, float] = json.load(answer)
    return found


def fill(settings: Settings, records: int) -> None:
    """Write records to `curated`, each a cluster of its own."""
    client, name = Producer(producer(settings)), topic_name(settings, CURATED)
    now, partition = datetime.now(UTC), partition_of(NEWSWIRE, PARTITIONS)
    for number in range(records):
        record = CuratedRecord(
            record_id=f"record-{number}",
            workload=NEWSWIRE,
            event_time=now,
            arrival_time=now,
            origin=Origin(topic="traffic", partition=partition, offset=number),
            text=f"Company {number} reports",
            cluster_id=f"record-{number}",
            text_key=f"text-{number}",
        )
        client.produce(name, encode(record), NEWSWIRE.encode(), partition)
        client.poll(0)
    client.flush(60)


def run(place: Ground, slots: int, seconds: float, measured: float) -> dict[str, Any]:
    """Label against one teacher; return the share used, the answers and the calls open, by slice."""
    warm = max(LEAST_WARM_SECONDS, WARM_SERVICES * seconds)
    with teacher(slots, seconds) as url, place.laid() as settings:
        file = settings.workloads_dir / f"{NEWSWIRE}.toml"
        file.write_text(_at(file.read_text(), url))
        fill(settings, int(1.5 * (warm + measured) * slots / seconds) + CEILING)
        with running(WORKER, settings) as (worker,):
            started = time.monotonic()
            while counts(url)["answered"] == 0:
                worker.check()
                if time.monotonic() - started > _START_SECONDS:
                    raise TimeoutError(f"no call in {_START_SECONDS:g} s")
                time.sleep(0.1)
            time.sleep(warm)
            seen = [counts(url)]
            for _ in range(SLICES):
                time.sleep(measured / SLICES)
                worker.check()
                seen.append(counts(url))
    table = {name: np.array([one[name] for one in seen]) for name in seen[0]}
    took = np.diff(table["now"])
    used = np.diff(table["used"]) / (slots * took)
    half = float(stats.t.ppf(0.975, SLICES - 1) * stats.sem(used))
    answered = int(table["answered"][-1] - table["answered"][0])
    return {
        "service_seconds": seconds,
        "n": answered,
        "used": round(float(used.mean()), 4),
        "interval": [round(float(used.mean()) - half, 4), round(min(1.0, float(used.mean()) + half), 4)],
        "of_nominal": round(answered * seconds / (slots * float(took.sum())), 4),
        "open": round(float(table["open"].mean()), 1),
    }


def _at(file: str, url: str) -> str:
    """Return a workload file whose teacher is this one, and any other section of that name gone."""
    kept, passing = [], False
    for line in file.splitlines():
        if line.startswith("["):
            passing = line.startswith("[teacher")
        if not passing:
            kept.append(line)
    return "\n".join([*kept, "[teacher]", f'url = "{url}/v1"', f"concurrency = {CEILING}", ""])


@click.command()
@click.option("--slots", default="1,4,16,64,256", show_default=True, help=f"Of {', '.join(map(str, SERVICE_SECONDS))}.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(5), help="Measured for each.")
def main(slots: str, seconds: float) -> None:
    """Measure each number of slots and print the figures; the last line is JSON."""
    chosen = [int(one) for one in slots.split(",") if one.isdigit() and int(one) in SERVICE_SECONDS]
    if not chosen:
        raise click.BadParameter(f"{slots!r}: choose of {', '.join(map(str, SERVICE_SECONDS))}", param_hint="--slots")
    load = os.getloadavg()
    print(f"load of the machine before: {load[0]:.1f}, {load[1]:.1f}, {load[2]:.1f} on {os.cpu_count()} cores")
    print(f"{'slots':>6}{'service s':>11}{'answers':>9}{'used (95 %)':>24}{'of nominal':>12}{'open calls':>12}")
    found: dict[str, Any] = {}
    with ground() as place:
        for number in chosen:
            one = run(place, number, SERVICE_SECONDS[number], seconds)
            low, high = one["interval"]
            span = f"{one['used']:.3f} ({low:.3f}-{high:.3f})"
            print(
                f"{number:6}{one['service_seconds']:11.1f}{one['n']:9,}{span:>24}{one['of_nominal']:12.3f}"
                f"{one['open']:12.1f}",
                flush=True,
            )
            found[str(number)] = one
    print(
        f"promised: {PROMISED:.0%} of the slot time in use; {SLICES} slices of {seconds / SLICES:g} s after the warm-up"
    )
    print(json.dumps({"ceiling": CEILING, "slices": SLICES, "slots": found}))


if __name__ == "__main__":
    main()
