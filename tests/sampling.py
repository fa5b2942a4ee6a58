"""Of a test in several forms (its parameters), one that a seed chooses: all faults in every run, all forms in time.

`python -m pytest --one-form SEED`; what was left out is named at the end.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

LEFT_OUT = pytest.StashKey[list[str]]()


def one_form(names: Iterable[str], seed: int) -> set[str]:
    """Return the name of one form of each test; the same seed chooses the same ones from the same names."""
    forms: dict[str, list[str]] = {}
    for name in sorted(names):
        forms.setdefault(name.partition("[")[0], []).append(name)
    chance = random.Random(seed)
    return {chance.choice(found) for found in forms.values()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--one-form`."""
    parser.addoption("--one-form", type=int, metavar="SEED", help="run one form of each test, chosen by this seed")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say by which seed."""
    seed = config.getoption("--one-form")
    return [] if seed is None else [f"one form of each test, chosen by seed {seed}"]


@pytest.hookimpl(trylast=True)  # when markers and names on the command line have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the forms that were not chosen."""
    seed = config.getoption("--one-form")
    if seed is None:
        return
    chosen = one_form([item.nodeid for item in items], seed)
    left_out = [item for item in items if item.nodeid not in chosen]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = [item.nodeid for item in left_out]
    items[:] = [item for item in items if item.nodeid in chosen]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what was left out, where workers share the tests: the process that reports has collected none."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what a worker left out."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]  # pytest-xdist's own type has no stubs
    config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])  # the same from each


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was left out."""
    left_out = config.stash.get(LEFT_OUT, [])
    if left_out:
        seed = config.getoption("--one-form")
        terminalreporter.section(f"left out by seed {seed}: {len(left_out)} forms", sep="-")
        for name in left_out:
            terminalreporter.write_line(name)
