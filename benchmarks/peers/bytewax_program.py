"""Bytewax with recovery, at least once: `python -m benchmarks.peers.bytewax_program curate|pass`.

In the peers' environment. Its own source, sink and snapshots, as they come. It is spared the empty partitions of
`traffic`: its source waits a millisecond for each of them in each turn, which says nothing of its work on records.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any, Final

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.recovery import RecoveryConfig, init_db_dir  # type: ignore[import-not-found]
from bytewax.run import cli_main  # type: ignore[import-not-found]

from benchmarks.peers.curation import Curation
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.rules.partition import partition_of
from schemas.topics import CURATED, PARTITIONS, TRAFFIC

_EPOCH: Final = timedelta(seconds=10)  # its default: how often it snapshots


class _Filled(KafkaSource):  # type: ignore[misc]
    """The partitions that carry a workload."""

    def __init__(self, settings: Settings) -> None:
        super().__init__([settings.bootstrap_servers], [topic_name(settings, TRAFFIC)])
        self._numbers = {partition_of(name, PARTITIONS) for name in settings.workloads()}

    def list_parts(self) -> list[str]:
        return [part for part in super().list_parts() if int(part.split("-", 1)[0]) in self._numbers]


def main() -> None:
    """Run until killed."""
    settings = Settings.load()
    curation = None if sys.argv[1] == "pass" else Curation(settings)
    passed = topic_name(settings, CURATED)

    def curated(one: Any) -> KafkaSinkMessage[Any, Any]:
        if curation is None:
            return KafkaSinkMessage(one.key, one.value, topic=passed)
        topic, out = curation(one.partition, one.offset, one.key, one.value, one.headers, one.timestamp[1])
        return KafkaSinkMessage(one.key, out, topic=topic_name(settings, topic))

    flow = Dataflow("curation")
    records = op.input("traffic", flow, _Filled(settings))
    sink = KafkaSink([settings.bootstrap_servers], None, add_config=producer(settings))
    op.output("endings", op.map("curate", records, curated), sink)
    folder = settings.state_dir / "recovery"
    folder.mkdir(parents=True)
    init_db_dir(folder, 1)
    cli_main(flow, epoch_interval=_EPOCH, recovery_config=RecoveryConfig(str(folder)))


if __name__ == "__main__":
    main()
