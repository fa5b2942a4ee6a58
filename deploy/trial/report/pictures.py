"""The pictures of the report as inline SVG: text stays text, and colours are the page's own, so they follow its theme.

Matplotlib draws with placeholder colours that are then replaced by CSS variables. Pictures are narrow (460 px) so that
their letters can be read on a phone. Nothing is shown by colour alone: shapes and words show it, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from deploy.trial.report.inputs import ClassScore
from schemas.events import RolloutState, RolloutStatus

WIDTH: Final = 4.8  # inches; an inch is 96 px on the page
MOST_CLASSES: Final = 24  # drawn; more would be unreadable, and the page says how many are left out

STRETCH_ROWS: Final = 50  # of the class mix: a share of 10 % is then known to within 8 points
MOST_STRETCHES: Final = 24
MOST_CONFUSED: Final = 16  # rows and columns of the confusion matrix

# Placeholder -> what the page makes of it.
INK, SOFT, GRID = "#010101", "#020202", "#030303"
STUDENT, BASELINE, PAPER = "#040404", "#050505", "#060606"
_PAINT: Final = {
    INK: "var(--ink)", SOFT: "var(--soft)", GRID: "var(--grid)", STUDENT: "var(--student)", BASELINE: "var(--baseline)",
    PAPER: "var(--card)",
}  # fmt: skip
_TAKEN_BACK: Final = (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK, RolloutState.REJECTED)
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "millrace",  # ids that do not change from run to run
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": GRID,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
}


def f1_by_class(scores: Sequence[ClassScore], nominee: str, baseline: str) -> str:
    """Draw each class's F1 with its interval, the nominee's over the baseline's; most test rows first.

    Args:
        scores: of all students.
        nominee: the role of the student that is judged.
        baseline: the role of the one it is compared with.
    """
    rows = {score.label: score.n for score in scores}
    labels = drawn(rows)
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.9 + 0.34 * len(labels))
        for role, colour, marker, shift in ((nominee, STUDENT, "o", -0.16), (baseline, BASELINE, "D", 0.16)):
            own = [score for score in scores if score.role == role and score.label in labels]
            places = [labels.index(score.label) + shift for score in own]
            _intervals(axes, own, places, colour)
            axes.scatter(
                [score.value for score in own], places, s=26, color=colour, marker=marker, label=role, zorder=3
            )
        axes.set_yticks(range(len(labels)), [f"{short(label)}  ({rows[label]})" for label in labels])
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel("F1, with 95 % intervals")
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, frameon=False, handletextpad=0.4)
        return _svg(figure, f"F1 by class for {len(labels)} classes, {nominee} and {baseline}, with intervals")


def _intervals(axes: Axes, scores: Sequence[ClassScore], places: Sequence[float], colour: str) -> None:
    for score, place in zip(scores, places, strict=True):
        if score.low is not None and score.high is not None:
            axes.plot([score.low, score.high], [place, place], color=colour, linewidth=1.6, alpha=0.65, zorder=2)


def confusion(truth: Sequence[str], said: Sequence[str]) -> str:
    """Draw how often each label of the teacher (row) became which label of the student (column)."""
    counts: dict[str, int] = {}
    for label in truth:
        counts[label] = counts.get(label, 0) + 1
    labels = drawn(counts, MOST_CONFUSED)
    place = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=int)
    for row, column in zip(truth, said, strict=True):
        if row in place and column in place:
            table[place[row], place[column]] += 1
    with mpl.rc_context(_STYLE):
        side = 0.24 * len(labels)
        figure, axes = _canvas(max(2.2, side + 1.3))
        _cells(axes, table, [counts[label] for label in labels])
        axes.set_xticks(range(len(labels)), [short(label, 20) for label in labels], rotation=90)
        axes.set_yticks(range(len(labels)), [short(label) for label in labels])
        axes.tick_params(length=0)
        axes.tick_params(axis="x", colors=INK)
        axes.xaxis.tick_top()
        axes.set_xlabel("the student says", color=SOFT)
        axes.xaxis.set_label_position("top")
        axes.set_ylabel("the teacher says", color=SOFT)
        axes.spines[:].set_visible(False)
        return _svg(figure, "Confusion matrix: the teacher's label in rows, the student's in columns")


def _cells(axes: Axes, table: npt.NDArray[np.int_], totals: Sequence[int]) -> None:
    size = len(totals)
    for row in range(size):
        for column in range(size):
            count, share = int(table[row, column]), table[row, column] / totals[row]
            colour = STUDENT if row == column else BASELINE
            # Alpha is the share of the row; what is never confused stays blank.
            axes.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour,
                                                 alpha=float(share), linewidth=0))  # fmt: skip
            if count:
                axes.text(column, row, str(count), ha="center", va="center", fontsize=7,
                          color=PAPER if share > 0.55 else INK)  # fmt: skip
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.hlines(np.arange(size + 1) - 0.5, -0.5, size - 0.5, color=GRID, linewidth=0.5)
    axes.vlines(np.arange(size + 1) - 0.5, -0.5, size - 0.5, color=GRID, linewidth=0.5)


def rollout(statuses: Sequence[RolloutStatus]) -> str:
    """Draw the student's share of requests over time, with the states it went through."""
    began = statuses[0].time
    seconds = [(status.time - began).total_seconds() for status in statuses]
    end = max(seconds[-1] * 1.15, seconds[-1] + 1)
    weights = [status.weight for status in statuses]
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.8)
        axes.fill_between([*seconds, end], [*weights, weights[-1]], step="post", color=STUDENT, alpha=0.18, linewidth=0)
        axes.step([*seconds, end], [*weights, weights[-1]], where="post", color=STUDENT, linewidth=2)
        for status, second in zip(statuses, seconds, strict=True):
            bad = status.state in _TAKEN_BACK
            axes.scatter([second], [status.weight], s=26, zorder=3, color=BASELINE if bad else STUDENT,
                         marker="X" if bad else "o")  # fmt: skip
        _phases(axes, statuses, seconds, end)
        axes.set_ylim(-0.04, 1.5)
        axes.set_yticks(_apart(weights))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlim(-end * 0.02, end)
        axes.set_xlabel(f"seconds since {began:%H:%M:%S} UTC")
        axes.grid(axis="y")
        axes.tick_params(axis="y", length=0, colors=SOFT)
        return _svg(figure, f"Rollout: share of requests over {seconds[-1]:.0f} seconds, ending {statuses[-1].state}")


def _phases(axes: Axes, statuses: Sequence[RolloutStatus], seconds: Sequence[float], end: float) -> None:
    """Name each state above the time it lasted; upright where that is too short for its word."""
    starts = [
        place for place in range(len(statuses)) if not place or statuses[place].state != statuses[place - 1].state
    ]
    for number, place in enumerate(starts):
        left, right = seconds[place], seconds[starts[number + 1]] if number + 1 < len(starts) else end
        word = statuses[place].state.replace("_", " ").lower()
        wide = (right - left) / end > 0.021 * len(word)
        axes.vlines(left, -0.04, 1.5, color=GRID, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
        axes.text((left + right) / 2, 1.13, word, fontsize=8.5, ha="center", va="bottom", rotation=0 if wide else 90)


def _apart(weights: Sequence[float]) -> list[float]:
    """Return the weights as ticks, leaving out those too near the one below to be read."""
    ticks: list[float] = []
    for weight in sorted({0.0, *weights, 1.0}):
        if not ticks or weight - ticks[-1] > 0.09:
            ticks.append(weight)
    return ticks


def window(classes: Mapping[str, int]) -> str:
    """Draw the training rows of each class."""
    labels = drawn(classes)
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.55 + 0.26 * len(labels))
        values = [classes[label] for label in labels]
        axes.barh(range(len(labels)), values, height=0.62, color=STUDENT, alpha=0.75)
        for place, value in enumerate(values):
            axes.text(value + max(values) * 0.015, place, f"{value:,}", va="center", fontsize=8, color=SOFT)
        axes.set_yticks(range(len(labels)), [short(label) for label in labels])
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlim(0, max(values) * 1.14)
        axes.tick_params(axis="both", length=0)
        axes.set_xlabel("training rows in the window")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        return _svg(figure, f"Training rows by class: {', '.join(f'{label} {classes[label]}' for label in labels[:5])}")


def class_mix(times: Sequence[datetime], labels: Sequence[str], weights: Sequence[float]) -> str:
    """Draw each class's share of the traffic over time, one strip per class; the most frequent first.

    `weights`: how many records each row represents, its inverse propensity.
    """
    totals: dict[str, float] = {}
    for label, weight in zip(labels, weights, strict=True):
        totals[label] = totals.get(label, 0.0) + weight
    shown = sorted(totals, key=lambda label: (-totals[label], label))[:MOST_CONFUSED]
    seconds = np.array([time.timestamp() for time in times])
    bins = stretches(len(times))
    edges = np.linspace(seconds.min(), seconds.max(), bins + 1)
    place = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, bins - 1)
    whole = np.bincount(place, weights=np.array(weights), minlength=bins)
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.7 + 0.3 * len(shown))
        for row, label in enumerate(shown):
            own = np.array([weight if one == label else 0.0 for one, weight in zip(labels, weights, strict=True)])
            share = np.bincount(place, weights=own, minlength=bins) / np.maximum(whole, 1e-9)
            height = 0.8 * share / max(float(share.max()), 1e-9)  # each strip by itself: a rare class is seen to move
            axes.bar(range(bins), height, 0.92, bottom=row + 0.4 - height, color=STUDENT, alpha=0.75, linewidth=0)
            seen = share[whole > 0]
            axes.text(
                bins - 0.2,
                row,
                f"{100 * seen.min():.0f} to {100 * seen.max():.0f} %",
                va="center",
                fontsize=8,
                color=SOFT,
            )
        axes.set_yticks(range(len(shown)), [short(label) for label in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(-0.6, bins * 1.3)
        axes.set_xticks([0, bins - 1], [f"{time:%d %b %H:%M}" for time in (min(times), max(times))])
        axes.tick_params(length=0)
        return _svg(figure, f"Share of each of {len(shown)} classes over {bins} stretches of time")


def stretches(rows: int) -> int:
    """Return into how many stretches of time so many rows are parted: about 50 in each, 24 at most."""
    return min(rows // STRETCH_ROWS, MOST_STRETCHES)


def drawn(counts: Mapping[str, int], most: int = MOST_CLASSES) -> list[str]:
    """Return the labels that are drawn: most rows first."""
    return sorted(counts, key=lambda label: (-counts[label], label))[:most]


def short(label: str, most: int = 24) -> str:
    """Return the label, cut where it would crowd out the picture."""
    return label if len(label) <= most else label[: most - 1] + "…"


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, words: str) -> str:
    out = StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)  # unreferenced, and the same in every picture of the page
    for placeholder, paint in _PAINT.items():
        svg = svg.replace(placeholder, paint)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    quoted = words.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{quoted}" ', 1)


def draw(height: float, words: str, paint: Callable[[Axes], None]) -> str:
    """Return a picture that `paint` paints, in the style of the page.

    Args:
        height: in inches; it is `WIDTH` wide.
        words: what it shows, for who cannot see it.
        paint: is given the empty axes.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(height)
        paint(axes)
        return _svg(figure, words)
