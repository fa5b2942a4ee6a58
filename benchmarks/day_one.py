"""Does the day-one report keep its promises, and how long does it take? `python -m benchmarks.day_one`.

Time: `millrace replay FILE --report` on a CSV of generated newswire, one row in twelve a repeat; wall seconds, the
processor's seconds, and the most memory one of its processes held.

Promise, on real labelled text (left out where it is absent): rows in a seed's order; the first half is the log that the
report sees, the second half is what comes after. Held against the second half: the interval of the student's agreement,
the interval of what it takes over, and the wished agreement of what it answers. The second half is asked twice: all
rows, and those alone whose cluster the first half does not hold. Shares of seeds carry Clopper-Pearson intervals.

What it does not show: traffic that changes. Both halves are draws from one set, and the label column answers. The
second half is a sample itself, five times the test split, so an interval of 95 % is due to hold in 93 % of seeds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.real_text import real_rows
from deploy.trial.day_one.bounds import ShareFigure, share_of
from deploy.trial.day_one.student import judged, learn, teaching
from deploy.trial.day_one.survey import LogRequest, survey
from deploy.trial.day_one.takeover import takeover
from deploy.trial.simulate.grammar import Writer
from deploy.trial.simulate.newswire import classes
from schemas.codec import encode
from schemas.records import AnsweredBy, TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from schemas.workload import Workload
from streams.core.stage import Message

SETS: Final = ("banking77", "twitter-financial-news-topic")
REPEATED: Final = 12  # one row in so many
NOW: Final = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Halves:
    """What the report said of the first half, and what the second half was like."""

    agreement: ShareFigure
    covered: ShareFigure | None  # None: no threshold was chosen
    all_rows: dict[str, float]  # realised: agreement, coverage, agreement of what is answered
    new_clusters: dict[str, float]


def timed(rows: int) -> dict[str, Any]:
    """Print what the report on so many generated rows takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.csv"
        _write_newswire(file, rows)
        command = [
            sys.executable,
            "-m",
            "deploy.cli",
            "replay",
            str(file),
            "--workload",
            "newswire",
            "--report",
            str(Path(folder) / "page.html"),
            "--agreement",
            "0.9",
        ]
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        size = file.stat().st_size
    found = {
        "rows": rows,
        "file_bytes": size,
        "seconds": seconds,
        "peak_mib": after.ru_maxrss / 1_024,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
    }
    print(
        f"{rows:,} rows of newswire ({size / 2**20:.1f} MiB): {seconds:.0f} s ({found['cpu_seconds']:.0f} s of "
        f"{found['cores']} cores), {found['peak_mib']:.0f} MiB at most in one process"
    )
    return found


def _write_newswire(file: Path, rows: int) -> None:
    rng = random.Random(1)
    writer, labels, written = Writer(rng, 1), classes(rng), list[tuple[str, str]]()
    with file.open("w", encoding="utf-8", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(["text", "label"])
        for number in range(rows):
            if number % REPEATED == REPEATED - 1:
                lines.writerow(rng.choice(written))
                continue
            label = next(labels)
            written.append((writer.headline(label), label))
            lines.writerow(written[-1])


def halves(pairs: Sequence[tuple[str, str]], workload: Workload, wished: float, seed: int) -> Halves | None:
    """Report on the first half of the rows in a seed's order; hold it against the second half."""
    order = np.random.default_rng(seed).permutation(len(pairs))
    cut = len(order) // 2
    found = survey([_message(number, workload.name, *pairs[row]) for number, row in enumerate(order)], workload, Path())
    log = [request for request in teaching(found.requests) if request.row < cut]
    later = [request for request in teaching(found.requests) if request.row >= cut]
    learnt = learn(log, workload)
    if isinstance(learnt, str):
        print(f"  {workload.name}, seed {seed}: {learnt}")
        return None
    trial = judged(learnt, workload)
    taken = takeover(trial.choosing, trial.test, wished)
    limit = taken.threshold.confidence if taken.threshold else float("inf")
    known = {request.cluster for request in log}

    def realised(requests: list[LogRequest]) -> dict[str, float]:
        said = learnt.say(requests)
        through = said.confidence >= limit
        return {
            "n": len(said),
            "agreement": float(said.agreed.mean()),
            "coverage": float(through.mean()),
            "answered_agreement": float(said.agreed[through].mean()) if through.any() else float("nan"),
        }

    new = [request for request in later if request.cluster not in known]
    return Halves(trial.figures.agreement, taken.coverage, realised(later), realised(new))


def _message(number: int, name: str, text: str, label: str) -> Message:
    record = TrafficRecord(workload=name, text=text, answer=label, answered_by=AnsweredBy.TEACHER, event_time=NOW)
    return Message(TRAFFIC, partition_of(name, PARTITIONS), number, None, encode(record), (), NOW)


def promise(data: str, rows: int, seeds: int, wished: float) -> dict[str, Any] | None:
    """Print how often the report's figures held on the second half; None where the data is absent."""
    pairs = real_rows(data)
    if not pairs:
        print(f"{data}: not there; MILLRACE_DATA names the folder")
        return None
    labels = sorted({label for _, label in pairs})
    # A name for each seed: splits are by the name and the text, so one name would test on the same texts each time.
    named = [Workload(name=f"log{seed}", labels=labels) for seed in range(seeds)]
    picked = [np.random.default_rng(1_000 + seed).permutation(len(pairs))[:rows] for seed in range(seeds)]
    runs = [
        halves([pairs[row] for row in some], workload, wished, seed)
        for seed, (some, workload) in enumerate(zip(picked, named, strict=True))
    ]
    made = [run for run in runs if run is not None]
    print(f"{data}: {len(made)} seeds, {rows // 2:,} rows each half; wished {wished:.0%}")
    return {"data": data, "rows_each_half": rows // 2, "wished": wished, "seeds": len(made)} | {
        name: _held(made, name, wished) for name in ("all_rows", "new_clusters") if made
    }


def _held(runs: Sequence[Halves], name: str, wished: float) -> dict[str, Any]:
    came = [getattr(run, name) for run in runs]
    chosen = [(run.covered, one) for run, one in zip(runs, came, strict=True) if run.covered is not None]
    held = [run.agreement.low <= one["agreement"] <= run.agreement.high for run, one in zip(runs, came, strict=True)]
    found = {
        "rows": float(np.mean([one["n"] for one in came])),
        "agreement": {
            "said": _mean([run.agreement.value for run in runs]),
            "realised": _mean([one["agreement"] for one in came]),
            "in_interval": _share(held),
        },
        "takeover": {
            "said": _mean([covered.value for covered, _ in chosen]),
            "realised": _mean([one["coverage"] for _, one in chosen]),
            "in_interval": _share([said.low <= one["coverage"] <= said.high for said, one in chosen]),
        },
        "answered": {
            "agreement": _mean([one["answered_agreement"] for _, one in chosen]),
            "wish_kept": _share([one["answered_agreement"] >= wished for _, one in chosen]),
        },
    }
    print(f"  against {name.replace('_', ' ')} ({found['rows']:,.0f}):")
    for figure, values in found.items():
        if isinstance(values, dict):
            print(
                f"    {figure:10}" + "; ".join(f"{what.replace('_', ' ')} {_told(one)}" for what, one in values.items())
            )
    return found


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _told(value: float | dict[str, float] | None) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.0%} of {value['n']} seeds ({value['low']:.0%} to {value['high']:.0%})"
    return "-" if value is None else f"{value:.1%}"


def _share(hits: Sequence[bool]) -> dict[str, float] | None:
    if not hits:
        return None
    figure = share_of(float(np.mean(hits)), len(hits), len(hits))
    return {"value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n}


def main() -> None:
    """Print both parts; the last line is JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--timed-rows", type=int, default=50_000, help="rows of newswire that are timed")
    options.add_argument("--rows", type=int, default=4_000, help="of each data set, both halves")
    options.add_argument("--seeds", type=int, default=16)
    options.add_argument("--agreement", type=float, default=0.9, help="wished of what the student answers")
    given = options.parse_args()
    time_taken = timed(given.timed_rows)
    kept = [promise(data, given.rows, given.seeds, given.agreement) for data in SETS]
    print(json.dumps({"time": time_taken, "promise": [one for one in kept if one]}))


if __name__ == "__main__":
    main()
