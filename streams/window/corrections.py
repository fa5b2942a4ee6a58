"""How a correction changes the window's rows: it adds one, and every question takes the last row of a record.

A corrected row is the row of its label once more, at the correction's offset: it counts for every question past that,
for none below, and is cut, pruned and erased with the row. Only a training row's label that is the record's own
last one and not erased is corrected. Paraphrases stay behind: they were asked for with the old label.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from schemas.records import Split
from schemas.topics import LABELS
from streams.window.columns import Labelled

LOG: Final = logging.getLogger("millrace.window")

# What a batch's corrections may change: `corrections` holds them; all below it is in `rows` and `erased` by then.
_CORRECTABLE: Final = """
CREATE OR REPLACE TEMP TABLE correctable AS
SELECT said.*, taught.label AS taught_label
FROM corrections said JOIN rows taught ON taught.partition = said.partition AND taught.label_offset = said.corrects
WHERE taught.label_offset < said.label_offset AND taught.corrects IS NULL AND taught.split = 'TRAIN'
    AND taught.workload = said.workload AND taught.record_id = said.record_id
    AND NOT EXISTS (
        FROM erased WHERE erased.partition = said.partition AND erased.workload = said.workload
            AND erased.record_id = said.record_id
            AND erased.label_offset > taught.label_offset AND erased.label_offset < said.label_offset
    )
    AND NOT EXISTS (
        FROM rows later WHERE later.partition = said.partition AND later.workload = said.workload
            AND later.record_id = said.record_id AND later.corrects IS NULL
            AND later.label_offset > taught.label_offset AND later.label_offset < said.label_offset
    )
"""
_CORRECT: Final = """
INSERT INTO rows BY NAME
SELECT taught.* REPLACE (
    said.label_offset AS label_offset, said.label AS label, said.class_probabilities AS class_probabilities,
    said.provenance AS provenance, said.teacher_model AS teacher_model, said.prompt_sha256 AS prompt_sha256,
    [] AS paraphrases, said.corrects AS corrects
)
FROM correctable said JOIN rows taught ON taught.partition = said.partition AND taught.label_offset = said.corrects
WHERE said.label <> said.taught_label
"""
# A second answer that repeats the label changes something only where one before it did not: the row is as it was.
_RESTORE: Final = """
INSERT INTO rows BY NAME
SELECT taught.* REPLACE (said.label_offset AS label_offset, said.corrects AS corrects)
FROM correctable said JOIN rows taught ON taught.partition = said.partition AND taught.label_offset = said.corrects
WHERE said.label = said.taught_label AND EXISTS (
    FROM rows earlier WHERE earlier.partition = said.partition AND earlier.workload = said.workload
        AND earlier.record_id = said.record_id AND earlier.corrects = said.corrects
        AND earlier.label_offset < said.label_offset
)
"""
CORRECT: Final = (_CORRECTABLE, _CORRECT, _RESTORE)  # in this order


def of_training(corrections: Iterable[Labelled]) -> list[Labelled]:
    """Return the corrections of training labels: a model's second answer must not change what models are judged by."""
    found = list(corrections)
    kept = [
        item
        for item in found
        if item.record.split is Split.TRAIN
        and (item.record.origin.topic, item.record.origin.partition) == (LABELS.name, item.partition)
    ]
    if len(kept) < len(found):
        LOG.warning("%d corrections name no training label of their partition; ignored", len(found) - len(kept))
    return kept
