"""What the figures mean, in sentences for the page and the terminal. Pure."""

from __future__ import annotations

from typing import Final

from deploy.trial.day_one.bounds import ShareFigure
from deploy.trial.day_one.figures import DayOne
from deploy.trial.day_one.saving import Amount
from schemas.workload import Workload

HOW_TO_RECORD: Final = (
    "To record answers, point the application's OpenAI client at the router (millrace router), or log each request "
    "with its response: a column for the answer, the five-field form, or OpenAI request and response."
)
NOT_SAID: Final = (
    (
        "Whether the teacher is right. Agreement says how often a student answers as the recorded answer does; "
        "only labels by people show accuracy (millrace gold)."
    ),
    (
        "What comes after the log. Intervals hold for requests like these; a new kind of request, another prompt or "
        "another teacher changes the figures."
    ),
    (
        "What a tuned student would reach. The linear student is the honest baseline; "
        "a tuned one has to beat it at the gate."
    ),
    (
        "That the router holds requests back by confidence. It gives a promoted student every request it may answer, "
        "or a share of them; the threshold here shows what is easy and what is not."
    ),
    "What the student itself costs to serve, and what a wrong answer costs.",
    (
        "Personal data that no rule finds: names, unless the workload redacts them, and anything outside the text to "
        "judge (system prompts, metadata)."
    ),
)


def share(figure: ShareFigure | None) -> str:
    """Return a share with its interval."""
    return "-" if figure is None else f"{figure.value:.1%} ({figure.low:.1%} to {figure.high:.1%})"


def score(figure: ShareFigure) -> str:
    """Return a score with its interval."""
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def amount(found: Amount | None, places: int = 0) -> str:
    """Return a count or sum with its interval."""
    if found is None:
        return "-"
    return f"{found.value:,.{places}f} ({found.low:,.{places}f} to {found.high:,.{places}f})"


def portion(found: Amount) -> str:
    """Return a share that is an amount, with its interval."""
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def headline(figures: DayOne) -> str:
    """Return the outcome of the report in one sentence."""
    if figures.takeover is None:
        return "What is in the log; no student could be judged."
    if figures.saving is None:
        return f"No share of these requests can be shown to agree to {figures.takeover.wished:.0%}."
    return (
        f"A linear student could answer {figures.saving.share.value:.0%} of these requests "
        f"at {figures.takeover.wished:.0%} agreement."
    )


def gate(figures: DayOne) -> str:
    """Return what the gate would say of this student: over all requests, whatever its confidence."""
    if figures.student is None:
        return ""
    floor, agreement = figures.gate_floor, figures.student.agreement
    if agreement.low >= floor:
        return f"It could take every request: the lower bound is above the gate's floor of {floor:.0%}."
    if agreement.high < floor:
        return f"It could not take every request: it lies below the gate's floor of {floor:.0%}."
    return f"The interval holds the gate's floor of {floor:.0%}: more answers would decide it."


def notes(figures: DayOne, workload: Workload) -> list[str]:
    """Return what the reader should know or do before relying on the figures."""
    labels = figures.census.labels
    student = figures.student
    found = []
    if figures.lacking:
        found.append(f"No student was judged: {figures.lacking}.")
    if labels.answered is None or not labels.answered.value:
        found.append(HOW_TO_RECORD)
    elif labels.unlisted_models:
        models = ", ".join(repr(model) if model else "no model named" for model in labels.unlisted_models)
        count = sum(labels.unlisted_models.values())
        used = "are not used here" if labels.learnable else "are used here as if they were the teacher's"
        found.append(
            f"{count:,} answers ({models}) are not the teacher's by the workload's rule and {used}; "
            "a model whose answers may be learnt from goes into harvest.models."
        )
    if student is not None and student.learnt_from < student.could_learn_from:
        found.append(
            f"The student learnt from {student.learnt_from:,} of {student.could_learn_from:,} training rows, to keep "
            "within two minutes; from all of them it would hardly do worse."
        )
    if student is not None and student.learnt_from > figures.window_rows:
        found.append(
            f"The workload's window holds {figures.window_rows:,} training rows, fewer than the student learnt from "
            f"here: raise window.rows to {student.learnt_from:,} to get what is shown."
        )
    if not workload.teacher.may_train:
        found.append("teacher.may_train is false: nothing is trained until the teacher's terms allow it.")
    if figures.asked.made_up_times:
        found.append("The file has no times: they are made up, and nothing is said of a month.")
    return found + _missed(figures)


def _missed(figures: DayOne) -> list[str]:
    taken = figures.takeover
    if taken is None or taken.agreement is None or taken.agreement.low >= taken.wished:
        return []
    how = "misses" if taken.agreement.high < taken.wished else "does not exclude less than"
    return [f"On the test rows, agreement of what the student answers {how} the wished {taken.wished:.0%}."]
