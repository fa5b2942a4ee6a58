"""Write the page: one HTML file with everything in it, without scripts, styled as the report of a loop."""

from __future__ import annotations

from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deploy.trial.day_one import pictures, words
from deploy.trial.day_one.figures import DayOne
from deploy.trial.report.pictures import MOST_CLASSES
from schemas.workload import Workload


def write_page(figures: DayOne, workload: Workload, out: Path) -> None:
    """Write the report of one log."""
    template = _environment().get_template("day_one.html.j2")
    page = template.render(
        figures=figures,
        census=figures.census,
        asked=figures.asked,
        student=figures.student,
        takeover=figures.takeover,
        saving=figures.saving,
        headline=words.headline(figures),
        gate=words.gate(figures),
        notes=words.notes(figures, workload),
        not_said=words.NOT_SAID,
        picture=_pictures(figures),
        drawn=MOST_CLASSES,
        workload=workload,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")


def _pictures(figures: DayOne) -> dict[str, Markup]:
    drawn: dict[str, str] = {}
    if figures.census.labels.mix:
        drawn["labels"] = pictures.label_mix(figures.census.labels.mix)
    if figures.takeover is not None:
        drawn["trade"] = pictures.trade(figures.takeover)
    if figures.student is not None and any(one.f1 is not None for one in figures.student.classes):
        drawn["classes"] = pictures.class_f1(figures.student.classes)
    # The SVG is matplotlib's: what people wrote (labels) was escaped when it was drawn.
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704


def _environment() -> Environment:
    loader = ChoiceLoader([PackageLoader("deploy.trial.day_one", "."), PackageLoader("deploy.trial.report", ".")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": lambda value: f"{value:,}",
        "share": words.share,
        "score": words.score,
        "amount": words.amount,
        "portion": words.portion,
        "round": lambda value: f"{value:,.0f}",
        "words": lambda value: str(value).replace("_", " ").lower(),
    }
    return environment
