"""What the triggers keep of a workload's labels, folded one by one in the order of their offsets. Pure.

The labels since the last request are compared with those of the epoch before it, which the last snapshot added to the
window. A trigger that fired stays fired until the next request: more looks do not undo a proof.
Everything is rebuilt from `labels` between the request before the last one and now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from schemas.events import TriggerVerdict
from schemas.records import LabelKind, LabelRecord
from schemas.rules.statistics.sequences import Counts, exceeds
from schemas.sections.triggers import Triggers
from schemas.workload import Workload
from streams.triggers import audits, confidence, count, input_drift, label_mix, teacher_drift
from streams.triggers.looks import LEAST_EFFECTIVE, size
from streams.triggers.sample import Sample
from streams.triggers.seen import Seen, seen_in
from streams.triggers.teacher_drift import AnchorAnswers
from streams.triggers.verdicts import waiting

# name -> its verdict on two samples, and the key of the workload file that holds its floor
_COMPARED: Final = {
    label_mix.NAME: (label_mix.verdict, "label_mix"),
    input_drift.NAME: (input_drift.verdict, "input_drift"),
    confidence.NAME: (confidence.verdict, "confidence"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """The state of a workload's statistical triggers."""

    reference: Sample | None = None  # the epoch before the last request
    recent: Sample | None = None  # since the last request
    looks: int = 0  # at the two samples, since the last request
    verdicts: Mapping[str, TriggerVerdict] = field(default_factory=dict)  # newest of each, or the one that fired
    audits: Counts = Counts()  # noqa: RUF009 - frozen; ones: audited answers the student missed since the last request
    student: str = ""  # the version they are of
    doubts: Counts = Counts()  # noqa: RUF009 - frozen; ones: labels the teacher doubted since the last request
    anchors: AnchorAnswers = AnchorAnswers()  # noqa: RUF009 - frozen

    @property
    def fired(self) -> frozenset[str]:
        """Return the names of the triggers that fired."""
        return frozenset(name for name, verdict in self.verdicts.items() if verdict.fired)

    def turned(self) -> Watch:
        """Return the state after a request: what was recent is the reference."""
        return Watch(reference=self.recent, anchors=self.anchors.turned())

    def news_since(self, before: Watch) -> bool:
        """Return whether a label made a trigger fire, or its look or round confirmed one that had fired."""
        looked = self.looks > before.looks or self.anchors.look > before.anchors.look
        return bool(self.fired - before.fired) or (looked and bool(self.fired))


def is_watching(triggers: Triggers) -> bool:
    """Return whether any trigger needs more of the labels than their number."""
    keys = (*(key for _, key in _COMPARED.values()), "disagreement", "doubt")
    return any(getattr(triggers, key) is not None for key in keys) or bool(triggers.class_counts)


def with_label(watch: Watch, workload: Workload, record: LabelRecord) -> Watch:
    """Add a label, or an anchor's answer, and look where a look is due."""
    if record.kind is LabelKind.ANCHOR:
        return _with_answer(watch, workload.triggers, record)
    seen = _seen(workload, record)
    return watch if seen is None else with_seen(watch, workload, seen)


def with_seen(watch: Watch, workload: Workload, seen: Seen) -> Watch:
    """Add what is seen of a label, and look where a look is due."""
    return _looked(_added(watch, workload, seen), workload.triggers)


def with_past_label(watch: Watch, workload: Workload, record: LabelRecord) -> Watch:
    """Add a label, or an anchor's answer, of the epoch before the last request."""
    if record.kind is LabelKind.ANCHOR and workload.triggers.teacher_drift is not None:
        return replace(watch, anchors=teacher_drift.with_past_answer(watch.anchors, record))
    seen = _seen(workload, record)
    if seen is None:
        return watch
    return replace(watch, reference=(watch.reference or Sample.empty(len(workload.labels))).plus(seen))


def verdicts(watch: Watch, workload: Workload) -> list[TriggerVerdict]:
    """Return the verdict of every trigger of this module that is on."""
    triggers = workload.triggers
    found = []
    if triggers.class_counts:
        counts = {} if watch.recent is None else dict(zip(workload.labels, watch.recent.counts.tolist(), strict=False))
        found.append(count.class_verdict(counts, triggers.class_counts))
    found += [
        watch.verdicts.get(name, _not_yet(watch, name))
        for name, (_, key) in _COMPARED.items()
        if getattr(triggers, key) is not None
    ]
    alpha = triggers.alpha
    if triggers.disagreement is not None:
        now = audits.disagreement(watch.audits, alpha=alpha, limit=triggers.disagreement)
        found.append(watch.verdicts.get(audits.DISAGREEMENT, now))
    if triggers.doubt is not None:
        found.append(watch.verdicts.get(audits.DOUBT, audits.doubt(watch.doubts, alpha=alpha, limit=triggers.doubt)))
    if triggers.teacher_drift is not None:
        now = teacher_drift.verdict(watch.anchors, alpha=alpha, limit=triggers.teacher_drift)
        found.append(watch.verdicts.get(teacher_drift.NAME, now))
    return found


def _with_answer(watch: Watch, triggers: Triggers, record: LabelRecord) -> Watch:
    """Compare an anchor's answer with its reference; only one that differs can make the trigger fire."""
    limit, before = triggers.teacher_drift, watch.anchors
    if limit is None:
        return watch
    answers = teacher_drift.with_answer(before, record)
    found = dict(watch.verdicts)
    if answers.changed > before.changed:
        now = teacher_drift.verdict(answers, alpha=triggers.alpha, limit=limit)
        if now.fired:
            found.setdefault(teacher_drift.NAME, now)
    return replace(watch, anchors=answers, verdicts=found)


def _seen(workload: Workload, record: LabelRecord) -> Seen | None:
    if not is_watching(workload.triggers):
        return None
    return seen_in(record, workload.labels, words=workload.triggers.input_drift is not None)


def _added(watch: Watch, workload: Workload, seen: Seen) -> Watch:
    """Add a label to the sums, and let the triggers that may look at any time do so."""
    triggers = workload.triggers
    found = dict(watch.verdicts)
    audited, student = watch.audits, watch.student
    doubts = watch.doubts
    if seen.student is not None:
        if seen.student != student:  # another student is in production: what its forerunner missed is not its fault
            audited, student = Counts(), seen.student
            found.pop(audits.DISAGREEMENT, None)
        audited = audited.plus(float(not seen.agrees))
        limit = triggers.disagreement
        if limit is not None and not seen.agrees and exceeds(audited, limit, triggers.alpha):  # only a miss raises it
            found.setdefault(audits.DISAGREEMENT, audits.disagreement(audited, alpha=triggers.alpha, limit=limit))
    if seen.confidence is not None and triggers.doubt is not None:
        doubted = seen.confidence < audits.IN_DOUBT
        doubts = doubts.plus(float(doubted))
        if doubted and exceeds(doubts, triggers.doubt, triggers.alpha):
            found.setdefault(audits.DOUBT, audits.doubt(doubts, alpha=triggers.alpha, limit=triggers.doubt))
    recent = (watch.recent or Sample.empty(len(workload.labels))).plus(seen)
    return replace(watch, recent=recent, verdicts=found, audits=audited, student=student, doubts=doubts)


def _looked(watch: Watch, triggers: Triggers) -> Watch:
    """Compare the two samples, where the number of labels says that a look is due."""
    reference, recent = watch.reference, watch.recent
    look = watch.looks + 1
    if reference is None or recent is None or recent.n < size(look):
        return watch
    if min(reference.effective_n, recent.effective_n) < LEAST_EFFECTIVE:
        return replace(watch, looks=look)
    found = dict(watch.verdicts)
    for name, (verdict, key) in _COMPARED.items():
        floor = getattr(triggers, key)
        if floor is not None and name not in watch.fired:
            found[name] = verdict(reference, recent, alpha=triggers.alpha, look=look, floor=floor)
    return replace(watch, looks=look, verdicts=found)


def _not_yet(watch: Watch, name: str) -> TriggerVerdict:
    if watch.reference is None:
        return waiting(name, "There is no epoch before this one to compare with.")
    seen = 0 if watch.recent is None else watch.recent.n
    return waiting(name, f"{seen:,} labels since the last request; the next look is at {size(watch.looks + 1):,}.")
