"""What the broker acknowledged to a producer of ours is there, also on topics whose leaders are only just elected."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, producer, topic_name
from schemas.topics import TRAFFIC

pytestmark = [pytest.mark.broker, pytest.mark.faults]

TOPICS = 20  # with five requests in flight 11 of 60 lost records: all of 20 are spared by chance in 2 % of the runs
PARTITIONS = 120  # the last of them wait longest for their leader
RECORDS = 200


def test_acknowledged__on_topics_just_made(topics: Settings) -> None:
    """Every acknowledgement has its place, and as many records are in the topic."""
    admin = AdminClient(librdkafka(topics))
    reader = Consumer(librdkafka(topics, group_id="reader"))
    for number in range(TOPICS):
        name = f"{topic_name(topics, TRAFFIC)}.{number}"
        places: list[int | None] = []

        def delivered(error: object, message: Message, places: list[int | None] = places) -> None:
            assert error is None
            places.append(message.offset())

        admin.create_topics([NewTopic(name, PARTITIONS, 1)])  # not waited for
        # Small requests, and a metadata cache that asks often: the first go out before there is a leader.
        eager = {"linger.ms": 0, "batch.num.messages": 1, "topic.metadata.refresh.fast.interval.ms": 10}
        client = Producer(producer(topics) | eager | {"retry.backoff.ms": 10, "log_level": 2})
        for record in range(RECORDS):
            client.produce(name, b"x", partition=PARTITIONS - 1 - record % 4, on_delivery=delivered)
            client.poll(0)
        assert client.flush(30) == 0
        last_four = range(PARTITIONS - 4, PARTITIONS)
        stored = sum(reader.get_watermark_offsets(TopicPartition(name, one), 10)[1] for one in last_four)
        for deleted in admin.delete_topics([name]).values():
            deleted.result(30)

        assert None not in places
        assert stored == RECORDS
    reader.close()
