"""Quix Streams, at least once: `python -m benchmarks.peers.quix_program curate|pass`, in the peers' environment.

Its own consumption, production and commits, as they come; the producer's compression, linger and partitioner are ours.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, message_context  # type: ignore[import-not-found]
from quixstreams.models import Serializer  # type: ignore[import-not-found]

from benchmarks.peers.curation import ENDINGS, Curation
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.topics import CURATED, TRAFFIC


class _Value(Serializer):  # type: ignore[misc]
    """Takes the bytes out of what the dataframe carries: the ending's topic and its bytes."""

    def __call__(self, value: tuple[Any, bytes], ctx: Any) -> bytes:
        del ctx
        return value[1]


def main() -> None:
    """Run until killed."""
    settings = Settings.load()
    ours = producer(settings)
    app = Application(
        broker_address=settings.bootstrap_servers,
        consumer_group=f"{settings.topic_prefix}quix",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        use_changelog_topics=False,
        loglevel="WARNING",
        state_dir=str(settings.state_dir),
        producer_extra_config={name: ours[name] for name in ("compression.type", "linger.ms", "partitioner")},
    )
    frame = app.dataframe(app.topic(topic_name(settings, TRAFFIC), value_deserializer="bytes"))
    if sys.argv[1] == "pass":
        frame.to_topic(app.topic(topic_name(settings, CURATED), value_serializer="bytes"))
    else:
        _curate(app, frame, settings)
    app.run()


def _curate(app: Any, frame: Any, settings: Settings) -> None:
    curation = Curation(settings)
    topics = {topic: app.topic(topic_name(settings, topic), value_serializer=_Value()) for topic in ENDINGS}

    def curated(value: bytes, key: bytes, timestamp: int, headers: Any) -> tuple[Any, bytes]:
        place = message_context()
        topic, out = curation(place.partition, place.offset, key, value, headers, timestamp)
        return topics[topic], out

    frame.apply(curated, metadata=True).to_topic(lambda value, _key, _timestamp, _headers: value[0])


if __name__ == "__main__":
    main()
