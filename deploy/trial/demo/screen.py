"""The demo's live picture: a tally in, something to print out. Pure; who owns the terminal calls it."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deploy.trial.demo.observe import TopicTally
from schemas.events import RolloutState, RunState

_WIDEST_BAR = 28


def picture(tally: TopicTally, headline: str, seconds: float) -> RenderableType:
    """Return what flows, the labels by class, the training run and the rollout."""
    title = Text.assemble(("millrace demo  ", "bold"), (headline, "cyan"), (f"   {seconds:5.0f} s", "dim"))
    columns = Table.grid(expand=True, padding=(0, 1))
    columns.add_column(ratio=5)
    columns.add_column(ratio=6)
    columns.add_row(Panel(_flow(tally), title="stream"), Panel(_classes(tally), title="labels by class"))
    columns.add_row(Panel(_training(tally), title="training"), Panel(_rollout(tally), title="rollout"))
    return Group(title, columns)


def line(tally: TopicTally, headline: str, seconds: float) -> str:
    """Return the same in one line, for an output that is no terminal."""
    records = tally.records
    parts = [
        f"{seconds:5.0f} s  {headline}",
        f"traffic {records['traffic']}  curated {records['curated']}  discarded {records['discarded']}",
        f"dead {records['dead-letters']}  labels {records['labels']}",
    ]
    if tally.runs:
        run = tally.runs[-1]
        parts.append(f"run {run.state.lower()} {run.phase} {run.step}/{run.steps}")
    if tally.state is not None:
        parts.append(f"rollout {tally.state.state.lower()} {tally.state.weight:.0%}")
    return "  |  ".join(parts)


def _flow(tally: TopicTally) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    notes = {
        "discarded": "  ".join(f"{reason.lower()} {n}" for reason, n in tally.discarded.most_common(3)),
        "dead-letters": "  ".join(f"{reason} {n}" for reason, n in tally.dead.most_common(3)),
        "labels": f"teacher {tally.provenance['TEACHER']}  harvested {tally.provenance['HARVEST']}",
    }
    for name in ("traffic", "curated", *notes, "retrain-requests", "model-promotion", "outcomes"):
        table.add_row(name, f"{tally.records[name]:,}", notes.get(name, ""))
    return table


def _classes(tally: TopicTally) -> RenderableType:
    if not tally.classes:
        return Text("no label yet", style="dim")
    table = Table.grid(padding=(0, 1))
    most = tally.classes.most_common(13)
    for name, count in most:
        bar = ProgressBar(total=most[0][1], completed=count, width=_WIDEST_BAR)
        table.add_row(name, Text(f"{count:,}", justify="right"), bar)
    rest = len(tally.classes) - len(most)
    return Group(table, Text(f"and {rest} classes more", style="dim")) if rest else table


def _training(tally: TopicTally) -> RenderableType:
    if not tally.requests:
        return Text("no threshold crossed yet", style="dim")
    request = tally.requests[-1]
    lines: list[RenderableType] = [
        Text(f"epoch {request.epoch}: {request.trigger} fired, snapshot of {request.rows:,} rows")
    ]
    if tally.runs:
        run = tally.runs[-1]
        style = {RunState.SUCCEEDED: "green", RunState.FAILED: "red"}.get(run.state, "")
        loss = f"  loss {run.loss:.3f}" if run.loss is not None else ""
        lines.append(Text(f"{run.state.lower()} {run.phase}{loss}  {run.message}", style=style))
        if run.steps:
            lines.append(ProgressBar(total=run.steps, completed=run.step, width=_WIDEST_BAR))
    if tally.promotions:
        event = tally.promotions[-1]
        lines.append(Text(f"gate: {event.decision.outcome.lower()}  {event.model_version}", style="bold"))
    return Group(*lines)


def _rollout(tally: TopicTally) -> RenderableType:
    if not tally.statuses:
        return Text("the teacher answers everything", style="dim")
    lines: list[RenderableType] = []
    for status in tally.statuses[-6:]:
        style = {RolloutState.PROMOTED: "green", RolloutState.ROLLED_BACK: "red"}.get(status.state, "")
        lines.append(Text(f"{status.state.lower():<12} {status.weight:>4.0%}  {status.reason}", style=style))
    if tally.state is not None:
        weight = round(tally.state.weight * 100)
        lines.append(ProgressBar(total=100, completed=weight, width=_WIDEST_BAR))
    return Group(*lines)
