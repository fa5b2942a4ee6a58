"""The stage's filter, blend and caps: each ending names its rule, leaves no trace, and is the same after a restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.edge.process.settings import Settings
from schemas.codec import encode
from schemas.errors import WorkloadError
from schemas.records import CuratedKind, CuratedRecord, DeadLetter, DiscardedRecord, DiscardReason, TrafficRecord
from schemas.rules.partition import partition_of
from schemas.sections.intake import Blend, Caps, Enrich, Quality
from schemas.topics import CURATED, PARTITIONS, TRAFFIC, Topic
from schemas.workload import Workload
from streams.core.stage import Message, Output
from streams.curate.stage import CurateStage

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOME = partition_of("news", PARTITIONS)
MADE_ANEW = {"workload", "text", "api_key_hash", "answer"}  # the other texts of a request are kept, redacted
FED = "Federal Reserve keeps its key rate unchanged as inflation cools toward target"


def stage(**sections: Any) -> CurateStage:
    return CurateStage(Settings(), {"news": Workload(name="news", labels=["up", "down"], **sections)})


def traffic(offset: int, text: str, minutes: int = 0, **fields: Any) -> Message:
    value = encode(TrafficRecord(workload="news", event_time=NOW, text=text, **fields))
    return Message(TRAFFIC, HOME, offset, b"news", value, (), NOW + timedelta(minutes=minutes))


async def outputs_of(one: CurateStage, messages: Sequence[Message], batch: int = 10) -> list[Output]:
    """Process and commit in batches."""
    outputs: list[Output] = []
    for start in range(0, len(messages), batch):
        settlement = await one.process(messages[start : start + batch])
        settlement.committed()
        outputs += settlement.outputs
    return outputs


async def records_of(one: CurateStage, *messages: Message) -> list[Any]:
    return [output.record for output in await outputs_of(one, messages)]


def rules(records: Sequence[Any]) -> list[str | None]:
    """Return the rule of each discarded record; None for curated ones."""
    return [record.rule if isinstance(record, DiscardedRecord) else None for record in records]


async def test_filtered_record__names_its_rule_and_is_not_remembered() -> None:
    """A later near duplicate without the denied word opens the cluster: it may not name a record that is nowhere."""
    one = stage(quality=Quality(deny=["giveaway"]))
    filtered, kept, same = await records_of(
        one, traffic(0, f"{FED} giveaway", id="a"), traffic(1, FED), traffic(2, f"{FED} today")
    )

    assert (filtered.reason, filtered.rule) == (DiscardReason.FILTERED, "quality.deny")
    assert isinstance(kept, CuratedRecord)
    assert (same.reason, same.duplicate_of) == (DiscardReason.NEAR_DUPLICATE, kept.record_id)


async def test_record_without_words_or_for_the_teacher_only__names_its_rule() -> None:
    """The endings that were before the filter have names too."""
    request = '{"messages": [{"role": "user", "content": "x"}], "tools": [{}]}'
    asked = encode(TrafficRecord(workload="news", event_time=NOW, request=request))
    found = await records_of(
        stage(), traffic(0, "\u200b"), traffic(1, "!"), Message(TRAFFIC, HOME, 2, b"news", asked, (), NOW)
    )

    assert rules(found) == ["quality.empty", "quality.length", "eligibility"]
    assert {record.reason for record in found} == {DiscardReason.FILTERED}


async def test_blend__keeps_the_share_of_a_source_and_all_that_is_audited() -> None:
    """What stays of a thinned source says with which probability; an audited record is never thinned."""
    one = stage(blend=Blend(sources={"wire-a": 0.25}))
    texts = [f"{'abcdefghijklmnopqrst'[n % 20] * 5} {n} headline number w{n} x{n * 7} y{n * 3}" for n in range(400)]
    thinned = await records_of(one, *(traffic(n, text, source="wire-a") for n, text in enumerate(texts[:200])))
    audited = await records_of(
        one, *(traffic(200 + n, t, source="wire-a", audit=True, propensity=0.05) for n, t in enumerate(texts[200:]))
    )
    kept = [record for record in thinned if isinstance(record, CuratedRecord)]

    assert 25 < len(kept) < 75  # 0.25 of 200, four standard errors
    assert {record.propensity for record in kept} == {0.25}
    assert set(rules(thinned)) == {None, "blend"}
    assert {(type(record), record.propensity) for record in audited} == {(CuratedRecord, 0.05)}


async def test_caps__hold_records_and_votes() -> None:
    """A client above its cap waits for the next hour; a cluster takes so many votes; a capped vote names its record."""
    one = stage(caps=Caps(client=2, cluster=1))
    found = await records_of(
        one,
        traffic(0, FED, client="a", answer="up"),
        traffic(1, FED, client="a", answer="down"),
        traffic(2, FED, client="b", answer="other", id="v"),
        traffic(3, "Oil slips as traders weigh supply", client="a"),
        traffic(4, "Oil slips as traders weigh supply", 60, client="a"),
        traffic(5, FED, 60, client="b", answer="other", id="v"),
    )

    assert rules(found) == [None, None, "cap.cluster", "cap.client", None, None]
    assert (found[2].duplicate_of, found[2].cluster_id) == (found[0].record_id, found[0].cluster_id)
    assert (found[5].kind, found[5].record_id) == (CuratedKind.VOTE, found[2].record_id)


async def test_aborted_batch__leaves_no_counts() -> None:
    """A batch that is dropped has used up no cap."""
    one = stage(caps=Caps(client=1))
    dropped = await one.process([traffic(0, FED, client="a")])
    dropped.aborted()

    assert rules(await records_of(one, traffic(0, FED, client="a"))) == [None]


class Kept:
    """Reads back what a test wrote, in the place of the broker."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = [output for output in outputs if output.topic == CURATED]

    def read(self, topic: Topic, partition: int, start: int | None = None) -> Iterator[Message]:
        for offset, output in enumerate(self._outputs):
            yield Message(topic, partition, offset, b"news", encode(output.record), (), NOW)

    def topic_id(self, topic: Topic) -> str:
        return "id"

    def committed(self, topic: Topic, partition: int) -> int:
        return 0


@pytest.mark.parametrize("stop", [0, 7, 40, 73])
async def test_rebuilt_stage__decides_like_one_that_was_never_interrupted(stop: int) -> None:
    """Filter, blend and caps together, from `curated` alone, wherever the worker died."""
    sections = {
        "quality": Quality(deny=["w3"]),
        "blend": Blend(default=0.7, sources={"s1": 0.4}),
        "caps": Caps(client=6, source=10, cluster=1),
    }
    messages = [
        traffic(
            n, f"{' '.join(f'w{n % 7 if n % 3 else n}x{i}' for i in range(9))} w{n % 8}", n,
            client=f"c{n % 4}", source=f"s{n % 2}", answer=str(n % 5),
        )
        for n in range(150)
    ]  # fmt: skip
    undisturbed = await outputs_of(stage(**sections), messages)
    outputs = await outputs_of(stage(**sections), messages[:stop], batch=4)
    second = stage(**sections)
    second.assign(HOME, Kept(outputs))
    outputs += await outputs_of(second, messages[stop:], batch=13)

    assert [output.record for output in outputs] == [output.record for output in undisturbed]
    assert {"quality.deny", "blend", "cap.client", "cap.source", "cap.cluster", None} == set(
        rules([output.record for output in outputs])
    )


async def test_curated_record__has_every_field_and_keeps_what_the_sender_said() -> None:
    """No field is left out, and each text that the application sends and `curated` has too arrives there."""
    sent = {field.name for field in fields(TrafficRecord) if field.type in ("str", "str | None")} - MADE_ANEW
    kept = sorted(sent & {field.name for field in fields(CuratedRecord)})
    (record,) = await records_of(stage(), traffic(0, FED, 0, **dict.fromkeys(kept, "desk")))

    assert vars(record).keys() == {field.name for field in fields(CuratedRecord)}
    assert {name: getattr(record, name) for name in kept} == dict.fromkeys(kept, "desk")


async def test_curated_record__tells_what_its_text_says_and_who_sent_it() -> None:
    """Enrichment and the sender's fields are in the record; the language where it is asked for."""
    (record,) = await records_of(
        stage(enrich=Enrich(language=True)),
        traffic(0, "Umsatz von Siemens (NYSE: SI) stieg um 12 Prozent auf €4,3 Milliarden", client_version="2.1",
                api_key_hash="sk-a-raw-key"),
    )  # fmt: skip

    assert (record.language, record.tickers, record.currencies, record.numbers) == ("de", ["SI"], ["EUR"], 2)
    assert (record.words, record.characters, record.client_version) == (13, len(record.text), "2.1")
    assert len(record.api_key_hash) == 32
    assert b"sk-a-raw-key" not in encode(record)


async def test_dead_letter__holds_no_raw_api_key() -> None:
    """A key sent where its hash belongs is hashed in payload and headers too, also of a record nobody can curate."""
    value = encode(TrafficRecord(workload="nobody", event_time=NOW, text=FED, api_key_hash="my-raw-key"))
    sent = Message(TRAFFIC, HOME, 0, b"nobody", value, (("API-Key-Hash", b"my-raw-key"),), NOW)
    (output,) = await outputs_of(stage(), [sent])

    assert isinstance(output.record, DeadLetter)
    assert b"my-raw-key" not in encode(output.record)


def test_classifier_that_is_missing__stops_the_worker_at_start(tmp_path: Path) -> None:
    """A filter that cannot run is reported before the first record, with its path."""
    workload = Workload(name="news", labels=["a", "b"], quality=Quality(classifier="none.safetensors"))
    with pytest.raises(WorkloadError, match=r"none\.safetensors"):
        CurateStage(Settings(workloads_dir=tmp_path), {"news": workload})
