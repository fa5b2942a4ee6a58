"""Reads the texts that are on `gold` now, once per round of anchors.

`gold` is no source of the stage: `millrace erase` deletes below what it writes anew, and a group whose offset lies
there refuses to go on. Since it is read each time, an erased text is not asked again, and none is held in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from deploy.edge.topics.reading import read_partition
from schemas.errors import RecordRejected
from schemas.principals import Principal
from schemas.records import GoldLabel, Origin
from schemas.rules.partition import partition_of
from schemas.topics import GOLD, PARTITIONS
from streams.curate.anchors import GoldText

LOG: Final = logging.getLogger("millrace.curate")


def gold_texts(settings: Settings, framing: Framing, workload: str) -> Iterator[GoldText]:
    """Yield the texts of a workload's human labels, oldest first; what cannot be read is skipped, and logged.

    Raises:
        ContractError: the topic is missing.
        Unavailable: the cluster does not answer.
    """
    partition = partition_of(workload, PARTITIONS)
    for raw in read_partition(settings, Principal.CURATE, GOLD, partition):
        try:
            label = framing.decode(GoldLabel, raw.value() or b"")
        except RecordRejected as error:
            LOG.warning("gold/%d at offset %d is no human label: %s", partition, raw.offset(), error.reason)
            continue
        if label.workload == workload:
            origin = Origin(topic=GOLD.name, partition=partition, offset=raw.offset())
            yield GoldText(label.text_key, label.text, origin)
