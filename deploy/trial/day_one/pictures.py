"""The pictures of the day-one report: label mix, agreement against coverage, F1 by class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from deploy.trial.day_one.bounds import ShareFigure
from deploy.trial.day_one.student import ClassFigure
from deploy.trial.day_one.takeover import Takeover
from deploy.trial.report.pictures import BASELINE, GRID, MOST_CLASSES, SOFT, STUDENT, draw, short


def label_mix(mix: Mapping[str, ShareFigure]) -> str:
    """Draw the share of each label with its interval; most first."""
    shown = list(mix.items())[:MOST_CLASSES]

    def paint(axes: Axes) -> None:
        most = max(figure.high for _, figure in shown)
        for place, (_, figure) in enumerate(shown):
            axes.barh(place, figure.value, height=0.62, color=STUDENT, alpha=0.35, linewidth=0)
            axes.plot([figure.low, figure.high], [place, place], color=STUDENT, linewidth=2, solid_capstyle="butt")
            axes.text(figure.high + most * 0.02, place, f"{figure.value:.1%}", va="center", fontsize=8, color=SOFT)
        axes.set_xlim(0, most * 1.16)
        axes.set_xlabel("share of the answers, with 95 % intervals")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if most > 0.05 else 1))
        _rows(axes, [short(label) for label, _ in shown])

    return draw(0.6 + 0.25 * len(shown), f"Label mix: {_some(label for label, _ in shown)}", paint)


def trade(takeover: Takeover) -> str:
    """Draw how agreement falls as the student answers more, on the test rows; and where the threshold is."""

    def paint(axes: Axes) -> None:
        at = [point.coverage for point in takeover.curve]
        low = [point.agreement.low for point in takeover.curve]
        high = [point.agreement.high for point in takeover.curve]
        axes.fill_between(at, low, high, color=STUDENT, alpha=0.18, linewidth=0)
        axes.plot(at, [point.agreement.value for point in takeover.curve], color=STUDENT, linewidth=2)
        axes.axhline(takeover.wished, color=BASELINE, linewidth=1.2, linestyle=(0, (4, 3)))
        lowest = min([takeover.wished, *(point.agreement.low for point in takeover.curve if point.coverage > 0.1)])
        axes.set_ylim(max(0.0, lowest - 0.05), 1.005)
        axes.text(0.012, takeover.wished, f"wished: {takeover.wished:.0%}", va="bottom", fontsize=8.5, color=BASELINE)
        _chosen(axes, takeover)
        axes.set_xlim(0, 1.0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("share of the requests that the student answers")
        axes.set_ylabel("agreement on those")
        axes.grid()
        axes.tick_params(length=0, colors=SOFT)

    return draw(3.0, f"Agreement against coverage; wished {takeover.wished:.0%}", paint)


def _chosen(axes: Axes, takeover: Takeover) -> None:
    if takeover.coverage is None or takeover.agreement is None:
        return
    x, y = takeover.coverage.value, takeover.agreement.value
    axes.plot([takeover.coverage.low, takeover.coverage.high], [y, y], color=STUDENT, linewidth=1.4)
    axes.plot([x, x], [takeover.agreement.low, takeover.agreement.high], color=STUDENT, linewidth=1.4)
    axes.scatter([x], [y], s=44, color=STUDENT, zorder=3)


def class_f1(classes: Sequence[ClassFigure]) -> str:
    """Draw the F1 of each judged class with its interval; most test rows first."""
    judged = [(one, one.f1) for one in classes if one.f1 is not None][:MOST_CLASSES]

    def paint(axes: Axes) -> None:
        for place, (_, f1) in enumerate(judged):
            axes.plot([f1.low, f1.high], [place, place], color=STUDENT, linewidth=1.8, alpha=0.65)
        axes.scatter([f1.value for _, f1 in judged], range(len(judged)), s=26, color=STUDENT, zorder=3)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel("F1, with 95 % intervals")
        _rows(axes, [f"{short(one.label)}  ({one.n})" for one, _ in judged])

    return draw(0.6 + 0.26 * len(judged), f"F1 by class: {_some(one.label for one, _ in judged)}", paint)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)


def _some(labels: Iterable[str]) -> str:
    names = list(labels)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
