"""Plays a file that you have onto `traffic`, with its recorded answers, or reports on it first."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path

from deploy.edge.process.settings import Settings
from deploy.trial.simulate import columns, day_one, sink
from deploy.trial.simulate.columns import Columns, Playing
from deploy.trial.simulate.forms import Wire
from deploy.trial.simulate.tables import FileRow, rows
from schemas.errors import BadInput, SettingsError
from schemas.principals import Principal
from schemas.records import AnsweredBy
from schemas.rules.chat import label_in
from schemas.workload import Workload

Played = tuple[str, datetime | None, str | None, Wire]


@dataclass
class _Player:
    """Turns rows into records, and counts them."""

    workload: Workload
    shape: Columns | None  # None: the rows are traffic records already
    playing: Playing
    source: str
    counts: Counter[str] = field(default_factory=Counter)

    def play(self, chosen: Iterator[FileRow], arrivals: Iterator[datetime]) -> Iterator[Played]:
        """Yield each row as a record."""
        for row, arrival in zip(chosen, arrivals, strict=False):
            yield self.one(row, arrival)

    def one(self, row: FileRow, arrival: datetime) -> Played:
        """Return a row as a record.

        Raises:
            BadInput: it has no text, or its time cannot be read.
        """
        self.counts["records"] += 1
        if self.shape is None or columns.is_exchange(row):
            self.counts["passed unchanged"] += 1
            return f"{self.source}-{row.number}", None, None, columns.unchanged(row, self.workload)
        return self._record(row, self.shape, arrival)

    def _record(self, row: FileRow, shape: Columns, arrival: datetime) -> Played:
        if shape.text not in row.values:
            raise BadInput(f"row {row.number}: {shape.text}", None, f"is missing; it has {', '.join(row.values)}")
        record = columns.record(
            row, shape, playing=self.playing, workload=self.workload, arrival=arrival, source=self.source
        )
        if record.answer is not None:
            self.counts["with an answer"] += 1
            self.counts["whose answer is no label of the workload"] += label_in(self.workload, record.answer) is None
        return record.id or "", record.event_time, record.text, columns.wire(record)


def play(
    *,
    source: str,
    workload: str | None,
    text: str | None,
    label: str | None,
    no_label: bool,
    own: str | None,
    time: str | None,
    answered_by: str,
    model: str | None,
    rate: float | None,
    skip: int,
    limit: int | None,
    seed: int | None,
    out: Path | None,
    report: Path | None,
    agreement: float | None,
    price_per_1000: float | None,
    bootstrap_servers: str | None,
) -> None:
    """Play or report on what the options of `millrace replay` name."""
    _check_report(report, out, rate, agreement, price_per_1000)
    settings = Settings.load(bootstrap_servers=bootstrap_servers)
    known = settings.workload(workload)
    by = AnsweredBy(answered_by.upper())
    if not model and by is AnsweredBy.TEACHER:
        model = known.teacher.model
    playing = Playing(by, model or None)
    refused: list[tuple[int, str]] = []
    refuse = {} if report is None else {"refuse": lambda number, reason: refused.append((number, reason))}
    first, chosen = _chosen(rows(source, **refuse), source, seed, skip, limit, refused)
    shape = None if columns.is_exchange(first) else columns.choose(list(first.values), text, label, own, time)
    if shape and no_label:
        shape = Columns(shape.text, None, shape.id, shape.time)
    name = Path(source).name.split(".")[0]
    player = _Player(known, shape, playing, name)
    if report is not None:
        _announce(shape, by)
        page = Path(f"{name}.day-one.html") if report == Path() else report
        made_up = shape is not None and shape.time is None
        wanted = day_one.Wanted(known.name, Path(source).name, page, made_up, agreement, price_per_1000)
        day_one.report(wanted, _read_for_report(player, chosen, columns.arrivals(seed or 0), refused))
    with sink.opened(settings, Principal.REPLAY, out) as send:
        _announce(shape, by)
        for one in sink.paced(rate, player.play(chosen, columns.arrivals(seed or 0)), limit, known.name):
            send(*one)
    _summarise(player.counts, out)


def _check_report(
    report: Path | None, out: Path | None, rate: float | None, agreement: float | None, price: float | None
) -> None:
    """Refuse options of a report where there is none, and options that a report does not have.

    Raises:
        SettingsError: one is given.
    """
    misplaced: dict[str, object] = {"--out": out, "--rate": rate}
    remedy = "produces records, which --report does not; leave it out"
    if report is None:
        misplaced = {"--agreement": agreement, "--price-per-1000": price}
        remedy = "belongs to --report; add it"
    for name, value in misplaced.items():
        if value is not None:
            raise SettingsError(name, value, remedy)


def _read_for_report(
    player: _Player, chosen: Iterator[FileRow], arrivals: Iterator[datetime], refused: list[tuple[int, str]]
) -> Iterator[day_one.LogLine]:
    """Yield each row as a record, or with the reason why it is none."""
    for row, arrival in zip(chosen, arrivals, strict=False):
        while refused:
            yield day_one.LogLine(*refused.pop(0))
        try:
            yield day_one.LogLine(row.number, wire=player.one(row, arrival)[-1])
        except BadInput as mistake:
            yield day_one.LogLine(row.number, str(mistake))
    for number, reason in refused:
        yield day_one.LogLine(number, reason)


def _chosen(
    found: Iterator[FileRow],
    source: str,
    seed: int | None,
    skip: int,
    limit: int | None,
    refused: list[tuple[int, str]],
) -> tuple[FileRow, Iterator[FileRow]]:
    """Return the first row, and all rows that are to be played."""
    if seed is not None:
        shuffled = list(found)
        random.Random(seed).shuffle(shuffled)
        found = iter(shuffled)
    chosen = islice(found, skip, None if limit is None else skip + limit)
    first = next(chosen, None)
    if first is None:
        why = f"; row {refused[0][0]} {refused[0][1]}" if refused else ""
        raise BadInput("FILE", source, f"has no row to play{why}")
    return first, chain([first], chosen)


def _announce(shape: Columns | None, by: AnsweredBy) -> None:
    if shape is None:
        print("rows are traffic records already: they pass unchanged", file=sys.stderr)
        return
    answers = f"{shape.label!r} as recorded answers of {by.value.lower()}" if shape.label else "no recorded answers"
    times = repr(shape.time) if shape.time else "made up"
    print(f"text: {shape.text!r}; {answers}; id: {shape.id or 'row number'}; times: {times}", file=sys.stderr)


def _summarise(counts: Counter[str], out: Path | None) -> None:
    parts = [f"{count} {what}" for what, count in counts.items() if what != "records" and count]
    done = f"in {out}" if out else "acknowledged"
    print(f"{counts['records']} records {done}" + (": " if parts else "") + ", ".join(parts))
