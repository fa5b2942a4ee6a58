"""The teacher asked twice: which records, in which words, and what it comes to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.codec import encode
from schemas.errors import BadInput, DeadLetterReason
from schemas.records import DeadLetter, LabelKind, LabelRecord, Provenance, Split
from schemas.topics import CEILINGS, LABELS
from streams.label.prompting.prompt import coded_prompt, prompt_sha256
from streams.label.teacher.costs import Costs
from streams.second_answers.__main__ import main
from streams.second_answers.asking import ask_again
from streams.second_answers.ceiling import drawn, measured, paired
from tests.streams.doubles import NAME, PARTITION, label, workload
from tests.streams.echo import read
from tests.streams.label.teacher.server import Act, Call, Server, body, completion, says, status, teacher_server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILE = 'name = "news"\nlabels = ["earnings", "mergers", "other"]\n'
PROMPT = prompt_sha256(workload())


def taught(number: int, said: str = "mergers", **fields: Any) -> LabelRecord:
    values = {
        "provenance": Provenance.TEACHER, "split": Split.TEST, "teacher_model": "teacher-7b", "prompt_sha256": PROMPT,
    } | fields  # fmt: skip
    return label(number, said, **values)


def every_tenth(call: Call) -> Any:
    """Answer `other` to every tenth company, `mergers` else."""
    return says("other" if int(call.text.split()[1]) % 10 == 0 else "mergers")(call)


def again(
    records: list[LabelRecord], *acts: Act, costs: Costs | None = None, teacher: Any = None, **tables: Any
) -> tuple[list[Any], Server]:
    async def ask() -> tuple[list[Any], Server]:
        async with teacher_server(*acts) as server:
            of = workload(teacher={"url": server.url, "attempts": 2} | (teacher or {}), **tables)
            return await ask_again(
                Settings(), of, [(one.record_id, one.text) for one in records], costs or Costs()
            ), server

    return asyncio.run(ask())


def test_drawn__are_test_records_of_the_teacher_of_now():
    """What another teacher or prompt said, harvested answers, votes, training records and erased ones are not asked."""
    rest = [
        taught(1, teacher_model="teacher-6b"), taught(2, prompt_sha256="old"), taught(3, split=Split.TRAIN),
        taught(4, provenance=Provenance.HARVEST), taught(5, kind=LabelKind.VOTE), taught(6), taught(7, cluster_id="c"),
        taught(8, cluster_id="c"), replace(taught(6), kind=LabelKind.ERASURE), taught(9),
    ]  # fmt: skip

    assert {one.record_id for one in drawn(rest)} == {"record-8", "record-9"}
    assert drawn([]) == []


def test_drawn__do_not_depend_on_the_order():
    """The draw is by hash: of thousands the same 200 are asked, whenever they came."""
    many = [taught(number) for number in range(3_000)]
    found = {one.record_id for one in drawn(many)}

    assert len(found) == 200
    assert {one.record_id for one in drawn(many[::-1])} == found
    assert 60 < sum(int(name.split("-")[1]) < 1_500 for name in found) < 140


def test_asking_again__is_the_same_question_with_the_codes_in_another_order():
    """Selection leaves nothing out, and the teacher's liking for one code cannot look like agreement."""
    select = {"policy": "uniform", "train_share": 0.001, "evaluation_share": 0.001}
    records = [taught(number) for number in range(40)]
    found, server = again(records, says("mergers"), select=select)
    second = {call.text: call.codes for call in server.calls}
    moved = 0
    for one in records:
        first = coded_prompt(workload(), one.text, one.record_id).choices
        moved += second[one.text] != {named: code for code, named in first.items()}

    assert [(one.text, one.label, one.prompt_sha256) for one in found] == [
        (one.text, "mergers", PROMPT) for one in records
    ]
    assert moved > 20


def test_asking_again__stops_where_the_budget_is_spent():
    """What was answered is kept, the rest is identified and nothing waits; spent before, none begins."""
    records, before = [taught(number) for number in range(10)], Costs()
    before.add(taught(99, teacher_calls=4), datetime.now(UTC))
    budget = {"budget": {"total": {"calls": 9}}, "concurrency": 2}
    found, server = again(records, says("mergers"), costs=before, teacher=budget)
    pairs = paired(records, found, workload())
    ceiling = measured(pairs, found, 3, NOW)

    assert [one is not None for one in found] == [True] * 5 + [False] * 5
    assert len(server.calls) == 5
    assert (ceiling.rows, ceiling.unlabelled, ceiling.teacher_calls) == (5, 0, 5)
    before.add(taught(99, teacher_calls=5), datetime.now(UTC))
    with pytest.raises(BadInput, match=r"news: teacher\.budget\.total\.calls = 9: 9 are spent: raise it"):
        again(records, says("mergers"), costs=before, teacher=budget)


def test_pairs__weigh_by_propensity_and_leave_out_what_got_no_label():
    """Self-agreement is of records labelled twice, each counted by its weight; the rest is counted."""
    records = [taught(number, propensity=0.1 if number == 10 else 1.0) for number in range(1, 31)]
    answers, _ = again(
        records, lambda call: status(400)(call) if call.text == "Company 3 reports" else every_tenth(call)
    )
    pairs = paired(records, answers, workload())
    found = measured(pairs, answers, 3, NOW)

    assert isinstance(answers[2], DeadLetter)
    assert answers[2].reason == DeadLetterReason.TEACHER_REFUSED
    assert (found.rows, found.unlabelled, found.teacher_calls) == (29, 1, 30)
    assert found.self_agreement == pytest.approx(26 / 38)  # 10 is one of 3 that differ, and counts 10
    assert found.effective_n == pytest.approx(38**2 / (28 + 100))
    assert found.self_agreement < found.high < found.ceiling < 1


@pytest.mark.parametrize(
    ("field", "value"), [("teacher_model", "teacher-6b"), ("prompt_sha256", "old")], ids=["teacher", "prompt"]
)
def test_pairs__of_two_teachers_are_refused(field, value):
    """Another teacher or question than the one that labelled is no second answer, and the message says which."""
    records = [taught(1, **{field: value})]
    answers, _ = again(records, says("mergers"))

    with pytest.raises(BadInput, match=f"news: {field} = .*: is not '{value}'"):
        paired(records, answers, workload())


def test_pairs__of_a_teacher_that_says_nothing_are_refused():
    """A teacher that labels nothing the second time has no self-agreement."""
    records = [taught(1)]
    answers, _ = again(records, body(completion("no idea")))

    with pytest.raises(BadInput, match=r"teacher\.model = 'teacher': gave no label"):
        paired(records, answers, workload())


@contextmanager
def serving(*acts: Act) -> Iterator[Server]:
    """Serve in a thread, for a program that runs a loop of its own."""
    started: list[Server] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with teacher_server(*acts) as server:
            started.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def ceiling(place: Settings, *arguments: str) -> Result:
    environment = {
        "MILLRACE_BOOTSTRAP_SERVERS": place.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": place.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(place.workloads_dir),
    }
    return CliRunner(env=environment).invoke(main, ["ceiling", *arguments])


@pytest.mark.broker
def test_ceiling__is_measured_kept_and_binds_targets(topics):
    """Each drawn record is asked once, the measurement kept; a floor above it and a spent budget are refused."""
    topics.workloads_dir.mkdir()
    file = topics.workloads_dir / "news.toml"
    client = Producer(producer(topics))
    with serving(every_tenth) as server:
        file.write_text(f'{FILE}[teacher]\nurl = "{server.url}"\n[gate]\nagreement_floor = 0.9\n')
        empty = ceiling(topics)
        for number in range(300):
            client.produce(topic_name(topics, LABELS), encode(taught(number)), NAME.encode(), PARTITION)
        assert client.flush(20) == 0
        fine = ceiling(topics, "news")
        calls = len(server.calls)
        file.write_text(file.read_text().replace("agreement_floor = 0.9", "agreement_floor = 0.99"))
        refused = ceiling(topics)
        file.write_text(f'{FILE}[teacher]\nurl = "{server.url}"\nbudget = {{ total = {{ calls = 400 }} }}\n')
        broke = ceiling(topics)
        after = len(server.calls)
    kept = read(topics, CEILINGS)

    assert (empty.exit_code, fine.exit_code, refused.exit_code, broke.exit_code) == (2, 0, 2, 2)
    assert "was not asked for any test record yet" in empty.stderr
    assert (calls, after) == (200, 400)
    assert "news: teacher.budget.total.calls = 400: 400 are spent: raise it" in broke.stderr
    assert "first mergers, then other:" in fine.stdout
    assert [one.rows for one in kept] == [200, 200]
    assert 0.8 < kept[0].self_agreement < 0.97
    assert f"ceiling {kept[0].ceiling:.3f}"[:9] in fine.stdout
    assert "news: gate.agreement_floor = 0.99: no student can agree with teacher-7b" in refused.stderr
