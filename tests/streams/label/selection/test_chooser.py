"""The tier-0 model that the label stage keeps fresh, and what it chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.records import LabelKind, LabelRecord, Split
from streams.label.selection.chance import Choice
from streams.label.selection.chooser import FIRST_FIT, LEAST_COMPARED, MOST_STEP, Chooser, next_fit
from tests.streams.doubles import NAME, PARTITION, curated, label, workload

ACTIVE = workload(select={"policy": "active", "train_share": 0.2})
WORDS = {"earnings": "profit rises", "mergers": "agrees to buy", "other": "opens office in"}


def labels(count: int, split: Split, start: int = 0) -> list[LabelRecord]:
    names = [*WORDS]
    return [
        label(number, names[number % 3], text=f"Company {number} {WORDS[names[number % 3]]}", split=split)
        for number in range(start, start + count)
    ]


def taught(*records: LabelRecord) -> Chooser:
    chooser = Chooser({NAME: ACTIVE})
    for record in records:
        chooser.learn(PARTITION, record)
    chooser.refit()
    return chooser


def choices(chooser: Chooser, count: int = 300) -> Sequence[Choice]:
    texts = [f"Firm {number} {[*WORDS.values(), 'sues rival over'][number % 4]}" for number in range(count)]
    return chooser.choices([(PARTITION, curated(number, text=text)) for number, text in enumerate(texts)])


def reasons(found: Sequence[Choice]) -> set[str]:
    return {choice.reason for choice in found} - {"evaluation"}


ENOUGH = [*labels(LEAST_COMPARED, Split.TEST, 5_000), *labels(FIRST_FIT, Split.TRAIN)]


def test_model__chooses_what_it_is_unsure_of():
    """Texts like none it saw are taken before texts it knows; both have a chance."""
    found = choices(taught(*ENOUGH))
    strange, known = ([c.reason for n, c in enumerate(found) if (n % 4 == 3) == odd and c.reason != "evaluation"]
                      for odd in (True, False))  # fmt: skip

    assert reasons(found) == {"unsure", "explored"}
    assert strange.count("unsure") / len(strange) > 2 * known.count("unsure") / len(known)


def test_model__waits_for_enough_labels():
    """Below the first fit, or without evaluation rows to take a cutoff from, the draw is uniform."""
    assert reasons(choices(taught(*ENOUGH[:-1]))) == {"uniform"}
    assert reasons(choices(taught(*labels(FIRST_FIT, Split.TRAIN)))) == {"uniform"}


def test_model__rebuilt_from_labels_is_the_same():
    """However batches fell, and after a restart, the same labels give the same decisions."""
    more = [*ENOUGH, *labels(40, Split.TRAIN, 200)]  # some beyond the last fit: they wait for the next one
    stepwise = Chooser({NAME: ACTIVE})
    for record in more:
        stepwise.learn(PARTITION, record)
        stepwise.refit()

    assert choices(stepwise) == choices(taught(*more)) == choices(taught(*ENOUGH))


def test_model__one_class_is_not_learnt_from():
    """Labels of one class teach no margin: the draw stays uniform."""
    one = [label(n, "other", split=Split.TRAIN) for n in range(FIRST_FIT)]

    assert reasons(choices(taught(*ENOUGH[:LEAST_COMPARED], *one))) == {"uniform"}


def test_erased_record__is_learnt_from_no_more():
    """A record that was erased before a fit has no part in it."""
    gone = [label(n, "earnings", text="Firm sues rival over", split=Split.TRAIN) for n in range(900, 930)]
    erased = [label(n, "", text="", split=Split.TRAIN, kind=LabelKind.ERASURE) for n in range(900, 930)]
    rest = [*ENOUGH, *labels(next_fit(FIRST_FIT + 30) - FIRST_FIT - 30, Split.TRAIN, 300)]

    assert choices(taught(*gone, *erased, *rest)) != choices(taught(*gone, *rest))


def test_corrected_record__is_learnt_as_it_is_now():
    """A model learns the second answer, as if it had been the first; of records it does not hold, nothing."""
    given = labels(next_fit(FIRST_FIT) - FIRST_FIT, Split.TRAIN, 300)
    wrong = [replace(record, label="other") for record in given[:9]]
    again = [replace(record, kind=LabelKind.CORRECTION, text="") for record in given[:9]]
    unknown = label(999, "other", text="", split=Split.TRAIN, kind=LabelKind.CORRECTION)
    right = choices(taught(*ENOUGH, *given))

    assert choices(taught(*ENOUGH, *wrong, unknown, *again, *given[9:])) == right
    assert choices(taught(*ENOUGH, *wrong, *given[9:])) != right


def test_partition__forgotten_takes_its_models_along():
    """What was learnt of a partition goes with it, so that its next owner's labels are not learnt twice."""
    chooser = taught(*ENOUGH)
    chooser.forget(PARTITION)

    assert reasons(choices(chooser)) == {"uniform"}


def test_fits__grow_rare_and_never_stop():
    """Between two fits a quarter more labels come, and at most MOST_STEP."""
    assert [next_fit(count) - count for count in (100, 1_000, 1_000_000)] == [50, 250, MOST_STEP]
