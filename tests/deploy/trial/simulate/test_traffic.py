"""The newswire as drawn: the same for ever, as skewed and as repetitive as planned, and true to what it planted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.trial.simulate.newswire import FREQUENCIES
from deploy.trial.simulate.traffic import PlantedRecord, TrafficPlan, check, traffic
from schemas.codec import decode
from schemas.errors import BadInput
from schemas.ids import record_id
from schemas.records import AnsweredBy, Split, TrafficRecord
from schemas.rules.normalise import normalise, text_key
from schemas.rules.practice import practice_label
from schemas.rules.privacy.redact import redact
from schemas.rules.splits import split_of
from schemas.topics import TRAFFIC
from schemas.workload import Workload
from streams.core.stage import Message
from streams.curate.decode import decode_traffic
from streams.curate.duplicates import similarity
from streams.curate.duplicates.grams import grams_of, jaccard
from tests.deploy.trial.simulate.conftest import PLAN

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def as_stored(text: str) -> str:
    return normalise(redact(text).text)


def test_traffic__drawn_twice_with_one_seed(drawn: list[PlantedRecord], newswire: Workload) -> None:
    """One seed gives the same bytes, ids, times and planted entries."""
    again = traffic(replace(PLAN, records=500), newswire)

    assert drawn[:500] == list(again)


def test_traffic__of_another_seed(drawn: list[PlantedRecord], newswire: Workload) -> None:
    """Another seed has other news."""
    texts = {planted.entry.text for planted in drawn}

    assert not texts & {planted.entry.text for planted in traffic(TrafficPlan(seed=8, records=500), newswire)} - {None}


def test_traffic__of_the_second_phase(drawn: list[PlantedRecord], newswire: Workload) -> None:
    """Phase 2 repeats no text of phase 1, and comes later."""
    second = list(traffic(replace(PLAN, phase=2, records=1_500), newswire))
    keys = {planted.truth.text_key for planted in drawn if planted.truth}

    assert not keys & {planted.truth.text_key for planted in second if planted.truth}
    assert second[0].event_time > drawn[-1].event_time


def test_traffic__classes(drawn: list[PlantedRecord]) -> None:
    """All 13 classes come, the most frequent at least 50 times as often as the rarest."""
    counts = Counter(planted.entry.label for planted in drawn if planted.entry.kind == "original")

    assert set(FREQUENCIES) == set(counts)
    assert counts.most_common(1)[0][1] >= 50 * min(counts.values())


def test_traffic__shares(drawn: list[PlantedRecord]) -> None:
    """Repetitions and poison have their shares; ids are distinct and times grow, none in the future."""
    kinds = Counter(planted.entry.kind for planted in drawn)
    times = [planted.event_time for planted in drawn]

    assert abs(kinds["duplicate"] - 360) < 80
    assert abs(kinds["near_duplicate"] - 360) < 80
    assert 15 <= kinds["poison"] <= 50
    assert len({planted.id for planted in drawn}) == len(drawn)
    assert times == sorted(times)
    assert times[-1] + timedelta(days=60) < datetime.now(UTC)


def test_traffic__near_duplicates_and_originals(drawn: list[PlantedRecord]) -> None:
    """A repetition is as like its original as the stream asks; two originals never are."""
    texts = {planted.id: as_stored(planted.entry.text or "") for planted in drawn if planted.truth}
    for planted in drawn:
        if planted.entry.kind == "near_duplicate":
            assert similarity(texts[planted.id], texts[planted.entry.of or ""]) >= 0.7
        if planted.entry.kind == "duplicate":
            assert texts[planted.id].casefold() == texts[planted.entry.of or ""].casefold()
    originals = grams_of([texts[planted.id] for planted in drawn[:1200] if planted.entry.kind == "original"]).each()

    assert all((jaccard([one] * i, originals[:i]) < 0.7).all() for i, one in enumerate(originals))


def test_traffic__personal_data(drawn: list[PlantedRecord]) -> None:
    """What is planted is in the text as the planted entry spells it; redaction takes all of it and nothing else."""
    private = [planted.entry for planted in drawn if planted.entry.pii]
    kinds = Counter(kind for entry in private for kind in redact(entry.text or "").counts)

    assert len(private) > 100
    assert {"email", "phone", "card", "iban", "ssn"} == set(kinds)
    for entry in private:
        assert all(value in (entry.text or "") for value in entry.pii)
        assert not any(value in redact(entry.text or "").text for value in entry.pii)
        assert sum(redact(entry.text or "").counts.values()) == len(entry.pii)
    for planted in drawn:
        if planted.entry.text and not planted.entry.pii:
            assert not redact(planted.entry.text).counts


def test_traffic__forms_and_answers(drawn: list[PlantedRecord], newswire: Workload) -> None:
    """Each form decodes to the planted text's record; a cluster's members carry one answer, the practice teacher's."""
    answers: dict[str, set[str | None]] = {}
    forms: Counter[str] = Counter()
    for planted in drawn:
        if planted.truth is None:
            continue
        headers = tuple((name, value) for name, value in planted.wire.headers)
        message = Message(
            topic=TRAFFIC, partition=0, offset=0, key=None, value=planted.wire.value, headers=headers, appended=NOW
        )
        record = decode_traffic(message)
        forms["json" if planted.wire.value[:1] == b"{" else "avro"] += 1
        answers.setdefault(planted.truth.cluster_key, set()).add(record.answer)
        if record.answer is not None:
            label = planted.entry.label or ""
            assert record.answer == practice_label(newswire.labels, label, planted.truth.cluster_key, PLAN.teacher_seed)
            assert record.model == "practice-teacher"
            assert abs(record.event_time - planted.event_time) < timedelta(seconds=1)
    answered = sum(found != {None} for found in answers.values())

    assert all(len(found) == 1 for found in answers.values())
    assert abs(answered / len(answers) - PLAN.answers) < 0.03
    assert forms["json"] > 100
    assert forms["avro"] > forms["json"]


def test_traffic__truth_of_a_cluster(drawn: list[PlantedRecord], newswire: Workload) -> None:
    """The truth knows each text by its stream key, and a copy by its original's."""
    keys = {planted.id: planted.truth.text_key for planted in drawn if planted.truth}
    for planted in drawn:
        if planted.truth:
            assert planted.truth.text_key == text_key(newswire.name, as_stored(planted.entry.text or ""))
            assert planted.truth.cluster_key == keys[planted.entry.of or planted.id]


def test_traffic__planted_entries_stay_out(drawn: list[PlantedRecord]) -> None:
    """A record without a recorded answer holds no label beyond its text and prompt."""
    for planted in drawn:
        if planted.truth and planted.wire.value[:1] != b"{":
            record = decode(TrafficRecord, planted.wire.value)
            assert record.attributes == {}
            assert (record.answer is None) == (record.answered_by is AnsweredBy.UNKNOWN)


def test_newswire_workload__count_trigger(drawn: list[PlantedRecord], newswire: Workload) -> None:
    """The count trigger fires once in the demo's phase 1, near its end, and then the training window is about full."""
    originals = [planted for planted in drawn if planted.entry.kind == "original"]
    seen = originals[: newswire.triggers.count]
    training = [
        planted
        for planted in seen
        if split_of(newswire.name, record_id(newswire.name, planted.id, 0, 0), newswire.splits) is Split.TRAIN
    ]

    assert newswire.triggers.count < len(originals) < 2 * newswire.triggers.count
    assert newswire.triggers.count > 0.9 * len(originals)
    assert len(training) >= newswire.window.rows


def test_check__workload_with_other_labels(newswire: Workload) -> None:
    """A workload whose labels are not the newswire's is refused, and the difference is named."""
    with pytest.raises(BadInput, match="dividends"):
        check(PLAN, newswire.model_copy(update={"labels": [x for x in newswire.labels if x != "dividends"]}))
