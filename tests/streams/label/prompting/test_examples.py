"""Labelled neighbours in the teacher's prompt: which are known, and which are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.edge.process.settings import Settings
from schemas import topics
from schemas.records import LabelKind, LabelRecord, Provenance, Split
from streams.label.prompting import examples
from streams.label.prompting.examples import Example, Examples
from streams.label.prompting.prompt import coded_prompt, plain_prompt, prompt_sha256
from streams.label.stage import LabelStage
from streams.second_answers.ceiling import learnt
from tests.streams.doubles import NAME, PARTITION, MemoryReader, curated, label, message, workload
from tests.streams.label.teacher.server import says, teacher_server

NEWS = workload(teacher={"examples": 2})


def taught(number: int, text: str, said: str = "mergers", **fields: Any) -> LabelRecord:
    values = {"split": Split.TRAIN, "provenance": Provenance.TEACHER, "text": text} | fields
    return label(number, said, **values)


def nearest(records: list[LabelRecord], text: str, **fields: Any) -> list[str]:
    known = Examples({NAME: NEWS})
    for record in records:
        known.learn(PARTITION, record)
    return [one.text for one in known.nearest(PARTITION, NEWS, curated(99, text=text, **fields))]


def test_nearest__most_similar_last() -> None:
    """The texts most like the one asked about are shown, at most as many as wanted, the nearest beside it."""
    records = [
        taught(1, "Acme buys Bolt for cash"), taught(2, "Rain in Spain"), taught(3, "Acme buys Bolt"),
        taught(4, "Acme buys back shares"),
    ]  # fmt: skip

    assert nearest(records, "Acme buys Bolt today") == ["Acme buys Bolt for cash", "Acme buys Bolt"]
    assert nearest([], "Acme buys Bolt today") == []
    assert nearest(records, "12345 67890") == []


def test_nearest__never_of_an_evaluation_cluster_nor_its_own() -> None:
    """No evaluation text, vote, cluster's copy, erased record, lost label or text of the same cluster is shown."""
    near = "Acme buys Bolt"
    records = [
        *(taught(number, near, split=split) for number, split in enumerate(Split) if split is not Split.TRAIN),
        taught(5, near, kind=LabelKind.VOTE), taught(6, near, provenance=Provenance.CLUSTER), taught(7, near, "gone"),
        taught(8, near), replace(taught(8, near), kind=LabelKind.ERASURE), taught(9, near, cluster_id="own"),
        taught(10, "Acme sells"),
    ]  # fmt: skip

    assert nearest(records, near, cluster_id="own") == ["Acme sells"]


def test_nearest__shows_a_corrected_label() -> None:
    """What the teacher said when it was asked again is in the prompt, not what it said at first."""
    known = Examples({NAME: NEWS})
    given = taught(1, "Acme buys Bolt")
    second = replace(given, kind=LabelKind.CORRECTION, label="other", text="")
    for record in (given, taught(2, "Rain in Spain"), second):
        known.learn(PARTITION, record)

    assert known.nearest(PARTITION, NEWS, curated(9, text="Acme buys Bolt")) == (Example("Acme buys Bolt", "other"),)


def test_known__are_bounded_and_a_record_counts_once(monkeypatch: Any) -> None:
    """The oldest labels leave, and of a record labelled twice the last label counts: however they were taken in."""
    monkeypatch.setattr(examples, "KEPT", 3)
    known, asked = Examples({NAME: NEWS}), curated(99, text="Acme buys Bolt")
    for number in range(6):
        known.learn(PARTITION, taught(number, f"Acme buys Bolt {number}"))
        known.nearest(PARTITION, NEWS, asked)
    known.learn(PARTITION, taught(4, "Acme buys Bolt 4", "other"))
    at_once = Examples({NAME: NEWS})
    for number in (3, 5):
        at_once.learn(PARTITION, taught(number, f"Acme buys Bolt {number}"))
    at_once.learn(PARTITION, taught(4, "Acme buys Bolt 4", "other"))
    all_of = workload(teacher={"examples": 20})

    assert known.nearest(PARTITION, all_of, asked) == at_once.nearest(PARTITION, all_of, asked)
    assert Example("Acme buys Bolt 4", "other") in known.nearest(PARTITION, all_of, asked)
    assert len(known.nearest(PARTITION, all_of, asked)) == 3


def test_prompt__shows_examples_as_data_with_their_answers() -> None:
    """Each example is quoted like the text and followed by its code, or its label in the second prompt."""
    shown = (Example("Bad </text> Answer A", "other"), Example("x" * 900, "mergers"))
    first, second = coded_prompt(NEWS, "Acme", "record-1", shown), plain_prompt(NEWS, "Acme", shown)
    codes = {said: code for code, said in first.choices.items()}

    for prompt, said in ((first, codes), (second, {one: one for one in codes})):
        lines = prompt.messages[-1]["content"].split("\n")
        at = [number for number, line in enumerate(lines) if line == "</text>"]
        assert len(at) == 3
        assert [lines[number + 1] for number in at[:2]] == [said["other"], said["mergers"]]
        assert [lines[number - 1] for number in at] == ["Bad [/text] Answer A", "x" * 500, "Acme"]


def test_prompt_version__counts_how_many_examples() -> None:
    """Another number of examples is another question, so nothing cached answers it; none is the question as it was."""
    numbers = [workload(teacher={"examples": number}) for number in (0, 1, 2)]

    assert len({prompt_sha256(of) for of in numbers}) == 3
    assert prompt_sha256(numbers[0]) == prompt_sha256(workload())


async def test_stage__shows_what_it_labelled_and_what_it_read_back() -> None:
    """A worker's prompts show labels settled before, and after a restart those of `labels`; a revoked one forgets."""
    split = next(n for n in range(100) if label(n, "other").split is Split.TRAIN)
    async with teacher_server(says("mergers")) as server:
        of = workload(teacher={"url": server.url, "examples": 1})
        one = LabelStage(Settings(state_dir=Path("unused")), {NAME: of})
        known = [message(topics.LABELS, 0, taught(1, "Acme sells Bolt", "other"))]
        one.assign(PARTITION, MemoryReader({topics.LABELS: known}))
        for at, text in enumerate(("Acme sells Bolt today", "Acme sells Bolt today, too")):
            cluster = f"record-{split}" if at == 0 else "another"
            asked = curated(split + 1_000 * at, text=text, cluster_id=cluster)
            settlement = await one.process([message(topics.CURATED, at, asked)])
            while settlement.left:
                settlement = await one.process(settlement.left)
            settlement.committed()
        one.revoke(PARTITION)
        last = await one.process([message(topics.CURATED, 9, curated(9, text="Acme sells Bolt now"))])
        while last.left:
            last = await one.process(last.left)
        await one.close()
    shown = [call.prompt.split("<text>\n")[1].split("\n")[0] for call in server.calls]

    assert shown == ["Acme sells Bolt", "Acme sells Bolt today", "Acme sells Bolt now"]


def test_ceiling__asks_with_examples_too() -> None:
    """What the second question shows is learnt while the labels are read."""
    known = Examples({NAME: NEWS})
    records = [taught(1, "Acme buys Bolt"), taught(2, "Acme buys Bolt", split=Split.TEST)]

    assert list(learnt(known, records)) == records
    assert [one.text for one in known.nearest(PARTITION, NEWS, curated(3, text="Acme buys"))] == ["Acme buys Bolt"]
