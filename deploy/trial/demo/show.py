"""Where the demo's picture goes: a live display on a terminal, a line now and then elsewhere; and the last page."""

from __future__ import annotations

import time
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from deploy.trial.demo.observe import Observer
from deploy.trial.demo.screen import line, picture
from deploy.trial.report.inputs import StageFlow, Summary

_LINE_SECONDS: Final = 10.0


class Show:
    """Shows the tally while a block of work waits for something."""

    def __init__(self, observer: Observer, began: float) -> None:
        self.console = Console()
        self.headline = "starting"
        self._observer, self._began, self._printed = observer, began, 0.0
        self._live = Live(
            console=self.console, get_renderable=self._picture, refresh_per_second=4, transient=True,
            auto_refresh=self.console.is_terminal,
        )  # fmt: skip

    def open(self) -> Self:
        """Begin the display."""
        if self.console.is_terminal:
            self._live.start()
        return self

    def close(self) -> Console:
        """End the display and return the console for what is left to say."""
        self._live.stop()
        return self.console

    @property
    def seconds(self) -> float:
        """Return how long the play has lasted."""
        return time.monotonic() - self._began

    def say(self, headline: str) -> None:
        """Begin another part of the play."""
        self.headline = headline
        if not self.console.is_terminal:
            self._print()

    def beat(self) -> None:
        """Show the progress; called often during a wait."""
        if not self.console.is_terminal and time.monotonic() - self._printed > _LINE_SECONDS:
            self._print()

    def _print(self) -> None:
        self._printed = time.monotonic()
        print(line(self._observer.tally, self.headline, self.seconds), flush=True)

    def _picture(self) -> RenderableType:
        return picture(self._observer.tally, self.headline, self.seconds)


def last_page(console: Console, summary: Summary, flow: list[StageFlow]) -> None:
    """Print the summary as a person reads it."""
    console.print(_flow(summary, flow))
    console.print(_planted(summary))
    console.print(_window(summary))
    console.print(_triggers(summary))
    console.print(_students(summary))
    console.print(f"[bold]gate[/]       {summary.gate.decision}")
    for reason in summary.gate.reasons:
        console.print(f"             {reason['text'] if isinstance(reason, dict) else reason}", highlight=False)
    console.print(f"[bold]promotion[/]  {summary.promotion.model_version}  event {summary.promotion.event_id}")
    for step in summary.rollout.steps:
        if isinstance(step, dict):
            console.print(
                f"[bold]rollout[/]    {step['state']:<12} {step['weight']:>4.0%}  {step['reason']}", highlight=False
            )
    console.print(f"[bold]champion[/]   {summary.champion or 'the teacher'}")
    console.print(_spend(summary))


def _flow(summary: Summary, flow: list[StageFlow]) -> Table:
    style = "green" if summary.residual == 0 else "red"
    table = Table(title=f"accounting: residual [{style}]{summary.residual}[/]", title_justify="left")
    table.add_column("stage")
    table.add_column("records", justify="right")
    table.add_column("what became of them")
    for stage in flow:
        outcomes = ", ".join(f"{name} {count:,}" for name, count in stage.outcomes.items() if count)
        table.add_row(stage.stage, f"{stage.consumed:,}", outcomes)
    return table


def _planted(summary: Summary) -> Table:
    table = Table(title="planted and found", title_justify="left")
    for column in ("what", "planted", "found"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("exact duplicates", f"{summary.duplicates.planted}", f"{summary.duplicates.found}")
    table.add_row("near duplicates", f"{summary.near_duplicates.planted}", f"{summary.near_duplicates.found}")
    table.add_row("personal data, redacted", f"{summary.pii.planted}", f"{summary.pii.redacted}")
    table.add_row("poison, in dead-letters", f"{summary.dead_letters.planted}", f"{summary.dead_letters.found}")
    return table


def _window(summary: Summary) -> Table:
    table = Table(title=f"window: {summary.window.rows:,} training rows", title_justify="left")
    table.add_column("class")
    table.add_column("rows", justify="right")
    for name, rows in sorted(summary.window.classes.items(), key=lambda item: -item[1])[:20]:
        table.add_row(name, f"{rows:,}")
    if len(summary.window.classes) > 20:
        table.add_row(f"and {len(summary.window.classes) - 20} more", "")
    return table


def _triggers(summary: Summary) -> Table:
    title = "triggers when the retrain was asked for"
    table = Table("trigger", "fired", "what it saw", title=title, title_justify="left")
    for one in summary.triggers:
        table.add_row(one.name, "yes" if one.fired else "no", one.explanation)
    return table


def _spend(summary: Summary) -> str:
    teacher = summary.teacher
    cost = "no price is set" if teacher.money is None else f"{teacher.money:.4f} {teacher.currency}"
    return (
        f"[bold]teacher[/]    {teacher.calls:,} calls ({teacher.retries:,} retries, {teacher.second_prompts:,} second "
        f"prompts), {teacher.harvested:,} answers harvested, {teacher.cache_hits:,} known from their cluster\n"
        f"[bold]spend[/]      {teacher.tokens or 0:,} tokens, {cost}; "
        f"{summary.saving.teacher_tokens_avoided:,} tokens avoided by the student"
    )


def _students(summary: Summary) -> Table:
    table = Table(title="students on the test split; F1 and agreement against the teacher", title_justify="left")
    for column in ("student", "n", "macro-F1 (95 %)", "agreement", "accuracy"):
        table.add_column(column, justify="left" if column == "student" else "right")
    for one in summary.students:
        bounds = f" ({one.macro_f1_low:.3f}-{one.macro_f1_high:.3f})" if one.macro_f1_low is not None else ""
        accuracy = f"{one.accuracy:.3f}" if one.accuracy is not None else "-"
        figures = (f"{one.n}", f"{one.macro_f1:.3f}{bounds}", f"{one.agreement:.3f}", accuracy)
        table.add_row(f"{one.role}: {one.name}", *figures)
    return table
