"""Which rows a snapshot holds: a pure query over the rows below an offset and within the age limit.

1. Rows of the workload's labels, not older than `age_days` before the newest of them: event time is the only clock.
2. A training cluster that shares a text with any evaluation row, or has rows in an evaluation split, is left out whole.
3. One row a text and one a cluster: the evaluation side first, a label before a vote, then the earliest.
4. Evaluation rows all stay. Training rows: at most `quota` a class and `rows` in all. Where they are too many, the
   large classes give way to a common level, so that a rare class keeps all it has: that is its reservoir. Within a
   class the newer days come first, within a day the keyed-hash order.

Nothing depends on offsets, batches or the wall clock. Near duplicates that return after the duplicate horizon under
another wording are not found here: only equal texts are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.records import Split
from schemas.workload import Workload
from streams.window.store import Store

_CHOSEN: Final = """
WITH named AS (
    SELECT * FROM rows
    WHERE partition = $partition AND workload = $workload AND label_offset < $below AND list_contains($labels, label)
), newest AS (SELECT max(event_time) AS event_time FROM named
), aged AS (
    SELECT named.*,
        CASE split WHEN 'TEST' THEN 0 WHEN 'CERTIFICATION' THEN 1 WHEN 'VALIDATION' THEN 2 ELSE 3 END AS side
    FROM named, newest WHERE named.event_time >= newest.event_time - to_days($age_days)
), leaking AS (
    SELECT cluster_id FROM aged WHERE side < 3
    UNION
    SELECT cluster_id FROM aged WHERE side = 3 AND text_key IN (SELECT text_key FROM aged WHERE side < 3)
), clean AS (
    SELECT * FROM aged WHERE side < 3 OR cluster_id NOT IN (SELECT cluster_id FROM leaking)
), one_text AS (
    SELECT * FROM clean
    QUALIFY row_number() OVER (PARTITION BY text_key ORDER BY side, vote, event_time, record_id) = 1
), one_cluster AS (
    SELECT * FROM one_text
    QUALIFY row_number() OVER (PARTITION BY cluster_id ORDER BY side, vote, event_time, record_id) = 1
), placed AS (
    SELECT one_cluster.*, row_number() OVER (
        PARTITION BY side = 3, label
        ORDER BY date_diff('day', one_cluster.event_time, newest.event_time), draw, record_id
    ) AS place
    FROM one_cluster, newest
)
"""

_COUNT: Final = f"{_CHOSEN}SELECT label, count(*) FROM placed WHERE side = 3 GROUP BY label"  # noqa: S608 - both parts stand here
_TAKE: Final = (
    _CHOSEN
    + """
SELECT record_id, cluster_id, text, label, class_probabilities, split, propensity, provenance, event_time, teacher_model
FROM placed LEFT JOIN (SELECT unnest($cut::VARCHAR[]) AS class_name, unnest($limits::BIGINT[]) AS most) limits
    ON placed.label = limits.class_name
WHERE side < 3 OR place <= most
ORDER BY record_id
"""
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a snapshot."""

    record_id: str
    cluster_id: str
    text: str
    label: str
    class_probabilities: list[float] | None  # in the order of the workload's labels
    split: str
    propensity: float
    provenance: str
    event_time: datetime  # UTC, naive
    teacher_model: str | None


def class_limits(counts: Mapping[str, int], quota: int, rows: int) -> dict[str, int]:
    """Return how many training rows each class may keep.

    A class keeps min(what it has, quota, level), the level being the highest under which all classes together stay
    within `rows`; what a level in whole rows leaves over goes to the rarest of the classes cut by it.
    """
    kept = {label: min(count, quota) for label, count in counts.items()}
    left, limits = rows, {}
    for done, label in enumerate(sorted(kept, key=lambda label: (kept[label], label))):
        limits[label] = min(kept[label], -(-left // (len(kept) - done)))
        left -= limits[label]
    return limits


def training_limits(store: Store, workload: Workload, partition: int, below: int) -> dict[str, int]:
    """Return how many training rows of each class a snapshot would hold."""
    counts = dict(store.query(_COUNT, _parameters(workload, partition, below)))
    return class_limits(counts, workload.window.quota, workload.window.rows)


def select(store: Store, workload: Workload, partition: int, below: int, limits: Mapping[str, int]) -> list[Row]:
    """Return the rows of a snapshot, ordered by record id; `limits` as `training_limits` gave them."""
    parameters = _parameters(workload, partition, below) | {"cut": list(limits), "limits": list(limits.values())}
    return [
        Row(record_id, cluster, text, label, _soft(workload, soft), *rest)
        for record_id, cluster, text, label, soft, *rest in store.query(_TAKE, parameters)
    ]


def class_counts(workload: Workload, rows: list[Row]) -> dict[str, dict[str, int]]:
    """Return split -> label -> rows, with every split and label named."""
    counts = {split.value: dict.fromkeys(workload.labels, 0) for split in Split}
    for row in rows:
        counts[row.split][row.label] += 1
    return counts


def _parameters(workload: Workload, partition: int, below: int) -> dict[str, Any]:
    return {
        "partition": partition,
        "workload": workload.name,
        "below": below,
        "labels": list(workload.labels),
        "age_days": workload.window.age_days,
    }


def _soft(workload: Workload, stored: str | None) -> list[float] | None:
    """Return the soft label in the order of the workload's labels; None where it was of another label set."""
    if stored is None:
        return None
    found = orjson.loads(stored)
    return [found[label] for label in workload.labels] if found.keys() == set(workload.labels) else None
