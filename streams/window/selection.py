"""Which rows a snapshot holds: a pure query over the rows below an offset and within the age limit.

1. The last label of each record that is not erased, where the workload has that label, and not older than `age_days`
   before the newest of them: event time is the only clock.
2. A training cluster is left out whole where it has rows in an evaluation split, or where one of its rows, votes too,
   has the text of an evaluation row or is a near duplicate of one by the rule of curate. So where a late row joins
   two clusters, evaluation wins, and nothing ever moves toward training.
3. A cluster whose votes and label name several labels takes the one of votes.py, and its soft label.
4. One row per text, and one per cluster (`cluster_rows` in training, at most one of them a vote): the evaluation side
   first, a label before a vote, then the earliest.
5. Evaluation rows all stay. Training rows: at most `source_rows` of one source in a class, `quota` per class and
   `rows` in all. Where they are too many, the large classes are cut to a common level, so that a rare class keeps all
   it has: that is its reservoir. Within a class the newer days come first, within a day the keyed-hash order.
6. Paraphrases of these rows, none near an evaluation row, top up the classes that are too small (paraphrases.py).

Nothing depends on batches or the wall clock, and of two labels of one record alone the offset decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import orjson

from schemas.workload import Workload
from streams.triggers.policy import enough
from streams.window.leaks import near_evaluation
from streams.window.paraphrases import candidates, topped_up
from streams.window.rows import Row, class_limits
from streams.window.store import Store
from streams.window.votes import Voice, resolve

_CHUNK: Final = 20_000  # evaluation texts that are compared at once

# Temporary tables in the order in which they are made; `rows.rowid` leads back to what is not copied.
_MEMBERS: Final = """
CREATE OR REPLACE TEMP TABLE members AS
WITH last AS (
    SELECT rowid AS row_number, * FROM rows
    WHERE partition = $partition AND workload = $workload AND label_offset < $below AND NOT EXISTS (
        FROM erased WHERE erased.partition = rows.partition AND erased.workload = rows.workload
            AND erased.record_id = rows.record_id
            AND rows.label_offset < erased.label_offset AND erased.label_offset < $below
    )
    QUALIFY row_number() OVER (PARTITION BY record_id ORDER BY label_offset DESC) = 1
), named AS (
    SELECT *, max(event_time) OVER () AS newest FROM last WHERE list_contains($labels, label)
)
SELECT row_number, record_id, cluster_id, text_key, label, vote, source, event_time,
    NOT (vote AND provenance = 'CLUSTER') AS voice,
    date_diff('day', event_time, newest) AS day, md5_number_lower($workload || chr(10) || record_id) AS draw,
    CASE split WHEN 'TEST' THEN 0 WHEN 'CERTIFICATION' THEN 1 WHEN 'VALIDATION' THEN 2 ELSE 3 END AS side
FROM named WHERE event_time >= newest - to_days($age_days)
"""
# The answers of each cluster with a vote whose answers differ; an audited duplicate that took the label gave none.
_VOICES: Final = """
WITH voices AS (
    SELECT cluster_id, row_number, label, vote, event_time, record_id FROM members
    WHERE voice AND cluster_id IN (SELECT cluster_id FROM members WHERE voice AND vote)
    QUALIFY min(label) OVER (PARTITION BY cluster_id) < max(label) OVER (PARTITION BY cluster_id)
)
SELECT voices.cluster_id, voices.label, class_probabilities FROM voices JOIN rows ON rows.rowid = voices.row_number
ORDER BY voices.cluster_id, voices.vote, voices.event_time, voices.record_id
"""
_RESOLVED: Final = """
CREATE OR REPLACE TEMP TABLE resolved AS
SELECT unnest($clusters::VARCHAR[]) AS cluster_id, unnest($said::VARCHAR[]) AS label, unnest($soft::VARCHAR[]) AS soft
"""
_TAKE_VOTES_IN: Final = """
UPDATE members SET label = resolved.label FROM resolved WHERE members.cluster_id = resolved.cluster_id
"""
_LEAKING: Final = """
CREATE OR REPLACE TEMP TABLE leaking AS
SELECT cluster_id FROM members WHERE side < 3
UNION
SELECT cluster_id FROM members WHERE side = 3 AND text_key IN (SELECT text_key FROM members WHERE side < 3)
"""
_CLEAN: Final = """
CREATE OR REPLACE TEMP TABLE clean AS
WITH one_text AS (
    SELECT * FROM members WHERE side < 3 OR cluster_id NOT IN (SELECT cluster_id FROM leaking)
    QUALIFY row_number() OVER (PARTITION BY text_key ORDER BY side, vote, event_time, record_id) = 1
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY cluster_id ORDER BY side, vote, event_time, record_id) AS number
    FROM one_text
)
SELECT * FROM numbered WHERE number = 1 OR (side = 3 AND NOT vote AND number <= $cluster_rows)
"""
# Made again whenever `leaking` has grown.
_PLACED: Final = """
CREATE OR REPLACE TEMP TABLE placed AS
WITH of_source AS (
    SELECT *, row_number() OVER (PARTITION BY side = 3, label, source ORDER BY day, draw, record_id) AS of_source
    FROM clean WHERE side < 3 OR cluster_id NOT IN (SELECT cluster_id FROM leaking)
)
SELECT row_number, record_id, cluster_id, label, event_time, side,
    row_number() OVER (PARTITION BY side = 3, label ORDER BY day, draw, record_id) AS place
FROM of_source WHERE side < 3 OR of_source <= $source_rows
"""
_UNCHECKED: Final = """
SELECT members.cluster_id, text FROM members JOIN rows ON rows.rowid = members.row_number
WHERE members.cluster_id IN (SELECT cluster_id FROM placed WHERE side = 3 AND place <= $quota)
    AND members.cluster_id NOT IN (SELECT cluster_id FROM checked)
"""
_EVALUATION: Final = "SELECT text FROM members JOIN rows ON rows.rowid = members.row_number WHERE side < 3"
_COUNT: Final = "SELECT label, count(*) FROM placed WHERE side = 3 GROUP BY label"
_TAKE: Final = """
SELECT placed.record_id, placed.cluster_id, text, placed.label, coalesce(soft, class_probabilities),
    split, propensity, provenance, placed.event_time, teacher_model, prompt_sha256, label_offset,
    coalesce(paraphrases, [])
FROM placed JOIN rows ON rows.rowid = placed.row_number
LEFT JOIN resolved ON placed.cluster_id = resolved.cluster_id
LEFT JOIN (SELECT unnest($cut::VARCHAR[]) AS class_name, unnest($limits::BIGINT[]) AS most) limits
    ON placed.label = limits.class_name
WHERE side < 3 OR place <= most
ORDER BY placed.record_id
"""
_NO_CAP: Final = 2**62  # rows of a source


class StratumLimits(dict[str, int]):
    """How many training rows of each class a snapshot holds."""

    tables: object = None  # marks the tables they were counted in; None: a bound, nothing was read


def training_limits(store: Store, workload: Workload, partition: int, below: int) -> StratumLimits:
    """Return how many training rows of each class a snapshot would hold.

    Where even all training rows of the window are too few, their counts are returned: they are known without reading
    the window, so that a trigger that fires again and again for nothing costs nothing.
    """
    window, counts = workload.window, store.training_counts(partition, workload)
    # Votes may give a whole cluster the label that one of its rows names.
    most = {label: count * window.cluster_rows for label, count in counts.items()}
    bound = StratumLimits(class_limits(most, window.quota, window.rows))
    if not enough(bound, workload.triggers.least_rows).fired:
        return bound
    return _counted(store, workload, partition, below)


def _counted(store: Store, workload: Workload, partition: int, below: int) -> StratumLimits:
    window = workload.window
    _prepare(store, workload, partition, below)
    _leave_near_out(store, workload)
    limits = StratumLimits(class_limits(dict(store.query(_COUNT)), window.quota, window.rows))
    limits.tables = store.tables = object()
    return limits


def select(store: Store, workload: Workload, partition: int, below: int, limits: StratumLimits) -> list[Row]:
    """Return the rows of a snapshot, ordered by record id; `limits` as `training_limits` gave them.

    Where nothing was asked or written since, the tables they were counted in are still there and not made again.
    """
    if limits.tables is None or limits.tables is not store.tables:
        limits = _counted(store, workload, partition, below)
    taken = store.query(_TAKE, {"cut": list(limits), "limits": list(limits.values())})
    rows = [
        Row(record_id, cluster, text, label, _soft(workload.labels, soft), *rest)
        for record_id, cluster, text, label, soft, *rest in taken
    ]
    offered = candidates(rows, workload)
    near = near_evaluation([row.text for row in offered], _evaluation(store), workload.duplicates.similarity)
    clean = [row for row, leaks in zip(offered, near.tolist(), strict=True) if not leaks]
    return topped_up(rows, clean, workload) if clean else rows


def _leave_near_out(store: Store, workload: Workload) -> None:
    """Leave the clusters out that are near duplicates of evaluation rows.

    Only what would be chosen is compared: at most `quota` clusters per class, then those that take the places of what
    was left out, until nothing more is left out.
    """
    store.query("CREATE OR REPLACE TEMP TABLE checked (cluster_id VARCHAR)")
    while unchecked := store.query(_UNCHECKED, {"quota": workload.window.quota}):
        clusters, texts = zip(*unchecked, strict=True)
        found = near_evaluation(texts, _evaluation(store), workload.duplicates.similarity)
        near = {cluster for cluster, leaks in zip(clusters, found.tolist(), strict=True) if leaks}
        if not near:
            break
        _insert(store, "leaking", near)
        _insert(store, "checked", set(clusters))
        _place(store, workload)


def _evaluation(store: Store) -> Iterator[list[str]]:
    for rows in store.batches(_EVALUATION, _CHUNK):
        yield [text for (text,) in rows]


def _insert(store: Store, table: str, clusters: Iterable[str]) -> None:
    store.query(f"INSERT INTO {table} SELECT unnest($clusters::VARCHAR[])", {"clusters": sorted(clusters)})


def _prepare(store: Store, workload: Workload, partition: int, below: int) -> None:
    """Make the temporary tables."""
    store.tables = None
    considered = {
        "partition": partition,
        "workload": workload.name,
        "below": below,
        "labels": list(workload.labels),
        "age_days": workload.window.age_days,
    }
    store.query(_MEMBERS, considered)
    _take_votes_in(store, workload)
    store.query(_LEAKING)
    store.query(_CLEAN, {"cluster_rows": workload.window.cluster_rows})
    _place(store, workload)


def _place(store: Store, workload: Workload) -> None:
    """Number the rows of each class in the order in which a snapshot takes them."""
    store.query(_PLACED, {"source_rows": workload.window.source_rows or _NO_CAP})


def _take_votes_in(store: Store, workload: Workload) -> None:
    """Give each cluster in which the answers differ the label and soft label that votes.py makes of them."""
    clusters, said, soft = [], [], []
    for cluster, answers in groupby(store.query(_VOICES), key=itemgetter(0)):
        voices = [Voice(label, stored and orjson.loads(stored)) for _, label, stored in answers]
        label, shares = resolve(workload.labels, voices)
        clusters.append(cluster)
        said.append(label)
        soft.append(orjson.dumps(shares).decode())
    store.query(_RESOLVED, {"clusters": clusters, "said": said, "soft": soft})
    store.query(_TAKE_VOTES_IN)


def _soft(labels: Sequence[str], stored: str | None) -> list[float] | None:
    """Return the soft label in the order of the labels; None where it was of another label set."""
    if stored is None:
        return None
    found = orjson.loads(stored)
    try:
        return [found[label] for label in labels] if len(found) == len(labels) else None
    except KeyError:
        return None
