"""Prints how often the guardrails of a rollout alarm falsely, and how soon they see real harm.

Seeded; every process is watched after each observation, as the controller does. About two minutes on one core.
"""

from __future__ import annotations

import random
import statistics

import click

from schemas.rules.statistics.sequences import Counts, exceeds, falls_below, split_alpha
from streams.rollout.guardrails import ERRORS, WEIGHTS

ALPHA = split_alpha(0.05, WEIGHTS)[ERRORS]


def alarm(rng: random.Random, rate: float, limit: float, most: int, *, below: bool) -> int | None:
    """Return when a share of `rate` counts as beyond `limit`."""
    counts = Counts()
    for n in range(1, most + 1):
        counts = counts.plus(float(rng.random() < rate))
        if falls_below(counts, limit, ALPHA) if below else exceeds(counts, limit, ALPHA):
            return n
    return None


def paired_alarm(
    rng: random.Random, loss: float, discordant: float, margin: float, most: int
) -> tuple[int, int] | None:
    """Return after how many pairs, and how many teacher calls, a drop of `loss` points beyond the margin is seen."""
    counts, worse, asked = Counts(), (discordant + loss) / 2, 0
    for n in range(1, most + 1):
        draw = rng.random()
        value = 0.0 if draw < worse else 1.0 if draw < discordant else 0.5
        asked += value != 0.5
        counts = counts.plus(value)
        if value != 0.5 and falls_below(counts, (1 - margin) / 2, ALPHA):
            return n, asked
    return None


@click.command()
@click.option("--runs", default=300, show_default=True)
@click.option("--most", default=2_000, show_default=True, help="Observations a run has at most.")
@click.option("--seed", default=13, show_default=True)
def main(runs: int, most: int, seed: int) -> None:
    """Simulate and print."""
    rng = random.Random(seed)
    print(f"alpha {ALPHA:.4f} each, {runs} runs of at most {most} observations, seed {seed}")
    for name, below, limit, rates in (
        ("agreement, floor 0.80", True, 0.80, (0.80, 0.85, 0.75, 0.70, 0.60)),
        ("errors, limit 0.05", False, 0.05, (0.05, 0.02, 0.10, 0.20, 0.50)),
        ("slow, limit 0.10", False, 0.10, (0.10, 0.05, 0.20, 0.40)),
    ):
        for rate in rates:
            found = [alarm(rng, rate, limit, most, below=below) for _ in range(runs)]
            print(f"{name:24} true {rate:.2f}   {_outcome(found)}")
    for loss, discordant, margin in (
        (0.0, 0.08, 0.0),
        (0.02, 0.08, 0.0),
        (0.05, 0.08, 0.0),
        (0.05, 0.15, 0.0),
        (0.10, 0.15, 0.05),
    ):
        pairs = [paired_alarm(rng, loss, discordant, margin, most) for _ in range(runs)]
        asked = [found[1] for found in pairs if found]
        calls = f"teacher calls {statistics.median(asked):.0f}" if asked else ""
        outcome = _outcome([found[0] if found else None for found in pairs])
        print(f"paired, margin {margin:.2f}      loss {loss:.2f}, differing {discordant:.0%}   {outcome}  {calls}")


def _outcome(found: list[int | None]) -> str:
    seen = [n for n in found if n is not None]
    median = f"median n {statistics.median(seen):.0f}" if seen else ""
    return f"alarms {len(seen) / len(found):6.1%}  {median}"


if __name__ == "__main__":
    main()
