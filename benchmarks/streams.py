"""The stream against its peers: `python -m benchmarks.streams [--rounds 5] [--records 60000]`.

Full curation of the same bytes on the same broker by the worker (exactly once), by Quix Streams and Bytewax (at least
once, our rules record by record) and by a plain client (the same); then a pass-through. Contenders take turns, each
alone on the machine, in every round; ratios are paired by round. One workload is on one partition, as in
production; `--workloads 8` spreads the records over all. Contenders that end the records otherwise get no ratio.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from benchmarks import steps
from benchmarks.contenders import CONTENDERS, MILLRACE, Contender
from benchmarks.figures import Spread, paired, spread
from benchmarks.ground import Ground, draw, ground
from benchmarks.laps import Lap, crowd, lap
from benchmarks.peers import environment
from deploy.trial.simulate.forms import Wire
from schemas.topics import PARTITIONS
from streams.curate.stage import BATCH_RECORDS

_WORKERS: Final = (1, 2)
_PASSED: Final = 20  # times the records: 20,000 are one batch of a pass-through
_MOST_DIFFERING: Final = 0.005  # near duplicates found by another sketch, and what follows from each

Laps = dict[str, list[Lap]]  # by contender, in the order of the rounds


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--records", default=60_000, show_default=True, type=click.IntRange(2 * BATCH_RECORDS))
@click.option("--workloads", default=1, show_default=True, type=click.IntRange(1, PARTITIONS), help="Partitions used.")
@click.option("--seed", default=7, show_default=True)
def main(rounds: int, records: int, workloads: int, seed: int) -> None:
    """Run the rounds and print the figures; the last line is JSON."""
    load = ", ".join(f"{minutes:.1f}" for minutes in os.getloadavg())
    print(f"{records} records, {workloads} workload(s), seed {seed}, {rounds} rounds, load before {load}")
    print(f"peers: {environment.versions()}, at least once; millrace: exactly once")
    wires = draw(records, seed, workloads)
    apart = wires if workloads == PARTITIONS else draw(records, seed, PARTITIONS)
    single = wires if workloads == 1 else draw(records, seed)
    profiles: list[dict[str, float]] = []
    with ground() as place:

        def curate(one: Contender) -> Lap:
            done = lap(place, one, wires, workloads=workloads)
            if one is MILLRACE:  # at once, so that both see the machine alike
                profiles.append(steps.cpu_us_by_step(place, single))
            return done

        curating = _rounds(rounds, "curate", curate)
        _require_same(curating)
        passing = _rounds(
            rounds, "pass", lambda one: lap(place, one, wires * _PASSED, workloads=workloads, passing=True)
        )
        crowds = [_crowds(place, apart, number) for number in range(rounds)]
    _print_table("full curation", curating)
    _print_table("pass-through", passing)
    shared = paired([two.cpu_us for _, two in crowds], [one.cpu_us for one, _ in crowds])
    print(f"\nCPU per record, two workers to one, {PARTITIONS} workloads: {shared.text('.2f')}, n = {shared.n}")
    totals = [one.cpu_us for one in curating[MILLRACE.name]]
    overhead = spread(
        [total - sum(profile[step] for step in steps.RULES) for total, profile in zip(totals, profiles, strict=True)]
    )
    by_step = {step: spread([profile[step] for profile in profiles]) for step in profiles[0]}
    _print_steps(by_step, spread(totals), overhead)
    print(
        json.dumps(
            _summary(curating, passing)
            | {
                "cpu_us_per_record": {step: round(by_step[step].median, 1) for step in steps.STEPS},
                "cpu_us_per_record_total": round(spread(totals).median, 1),
                "overhead_us_per_record": round(overhead.median, 1),
                "two_workers_cpu_ratio": round(shared.median, 2),
            }
        )
    )


def _rounds(rounds: int, what: str, turn: Callable[[Contender], Lap]) -> Laps:
    """Let the contenders take turns; each round begins with another, so that no place in a round favours one."""
    laps: Laps = {contender.name: [] for contender in CONTENDERS}
    for number in range(rounds):
        start = number % len(CONTENDERS)
        for contender in (*CONTENDERS[start:], *CONTENDERS[:start]):
            done = turn(contender)
            laps[contender.name].append(done)
            said = f"{done.records_per_second:8,.0f} records/s {done.cpu_us:6.1f} us"
            print(f"{what} {number + 1}/{rounds} {contender.name:9} {said}", file=sys.stderr)
    return laps


def differing(laps: Laps) -> float:
    """Return the largest share of records that some contender ended otherwise than the worker did."""
    ours = laps[MILLRACE.name][0]
    return max(len(ours.digests - done.digests) / len(ours.digests) for each in laps.values() for done in each)


def _require_same(laps: Laps) -> None:
    """Refuse to compare contenders whose endings differ."""
    share = differing(laps)
    counts = "; ".join(f"{name} {dict(each[-1].endings)}" for name, each in laps.items())
    if share > _MOST_DIFFERING:
        raise click.ClickException(f"{share:.2%} of the records end otherwise, so there is no ratio: {counts}")
    print(f"records that some contender ended otherwise than the worker: {share:.3%} at most; {counts}")


def _crowds(place: Ground, wires: Sequence[Wire], number: int) -> tuple[Lap, Lap]:
    one, two = (crowd(place, workers, wires, PARTITIONS) for workers in _WORKERS)
    print(f"workers {number + 1}: one {one.cpu_us:.1f} us, two {two.cpu_us:.1f} us", file=sys.stderr)
    return one, two


def _print_table(title: str, laps: Laps) -> None:
    ours = _rates(laps[MILLRACE.name])
    print(f"\n{title}: medians (least-most), n = {len(ours)} rounds")
    print(f"{'':10}{'records/s':>28}{'CPU us per record':>24}{'millrace is, paired':>26}")
    for name, each in laps.items():
        rate, cpu = spread(_rates(each)), spread([done.cpu_us for done in each])
        ratio = "" if name == MILLRACE.name else paired(ours, _rates(each)).text(".2f") + " x"
        print(f"{name:10}{rate.text():>28}{cpu.text('.1f'):>24}{ratio:>26}")


def _print_steps(by_step: dict[str, Spread], total: Spread, overhead: Spread) -> None:
    print(
        f"\nCPU us per record, the stage in process, batches of {BATCH_RECORDS:,}: medians (least-most), n = {total.n}"
    )
    for step, us in by_step.items():
        print(f"  {step:16}{us.text('.1f'):>24}")
    print(f"  the worker's process, all in: {total.text('.1f')}; beyond the rules, paired: {overhead.text('.1f')}")


def _summary(curating: Laps, passing: Laps) -> dict[str, Any]:
    ours, peers = _rates(curating[MILLRACE.name]), [name for name in curating if name != MILLRACE.name]
    ratios = {f"ratio_to_{name}": round(paired(ours, _rates(curating[name])).median, 2) for name in peers}
    passed = paired(_rates(passing[MILLRACE.name]), _rates(passing["quix"])).median
    return {
        "records_per_second": {name: round(spread(_rates(each)).median) for name, each in curating.items()},
        **ratios,
        "pass_through_per_second": {name: round(spread(_rates(each)).median) for name, each in passing.items()},
        "pass_through_ratio_to_quix": round(passed, 2),
    }


def _rates(laps: Sequence[Lap]) -> list[float]:
    return [done.records_per_second for done in laps]


if __name__ == "__main__":
    main()
