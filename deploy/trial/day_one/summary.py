"""The report in a dozen lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.trial.day_one.figures import DayOne
from deploy.trial.day_one.words import amount, gate, headline, portion, score, share


def summary(figures: DayOne) -> str:
    """Return the figures that matter, one per line."""
    counts = figures.census
    rows, labels = counts.rows, counts.labels
    duplicates = counts.duplicates
    lines = [
        ("rows", f"{rows.read:,} read, {rows.requests:,} requests{_also(rows.unreadable, 'not usable')}"),
        ("answers", f"recorded for {share(labels.answered)}; outside the label set {share(labels.outside)}"),
        ("labels", ", ".join(f"{label} {one.value:.1%}" for label, one in list(labels.mix.items())[:3]) or "-"),
    ]
    if duplicates is not None:
        lines.append(("duplicates", f"exact {share(duplicates.exact)}; near {share(duplicates.near)}"))
    lines.append(("personal data", f"in {share(counts.personal.requests)}{_also(counts.personal.found, 'values')}"))
    lines.append(("quality", _also(rows.filtered, "refused").removeprefix("; ") or "nothing refused"))
    if figures.student is not None:
        student = figures.student
        scores = f"agreement {share(student.agreement)}, macro-F1 {score(student.macro_f1)}"
        lines.append(("student", f"{scores}, n {student.agreement.n:,}"))
        lines.append(("", gate(figures)))
    elif figures.lacking:
        lines.append(("student", f"not judged: {figures.lacking}"))
    if figures.saving is not None:
        lines.append(("takes over", f"{portion(figures.saving.share)} of the requests, n {figures.saving.n:,}"))
        lines.append(("spares", f"{amount(figures.saving.calls)} calls of this log"))
        if figures.saving.money is not None:
            lines.append(
                ("", f"{amount(figures.saving.money, 2)} {figures.saving.currency or 'in the currency of the price'}")
            )
    return "\n".join([headline(figures), *(f"  {name:<14}{said}" for name, said in lines)])


def _also(counts: Mapping[str, int], what: str) -> str:
    if not counts:
        return ""
    named = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"; {sum(counts.values()):,} {what}: {named}"
