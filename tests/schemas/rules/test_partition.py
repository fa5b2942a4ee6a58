"""Our partition is every client's partition."""

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from deploy.edge.process.settings import Settings
from deploy.edge.topics import clients
from schemas.rules.partition import murmur2, partition_of
from schemas.topics import PARTITIONS, TRAFFIC


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2__kafkas_own_vectors(key, signed):
    """Our hash is Kafka's, by the vectors of Kafka's own tests."""
    assert murmur2(key.encode()) == signed & 0xFFFFFFFF


@given(st.text())
def test_partition_of__is_in_range(workload):
    """A partition is always one of the topic's."""
    assert 0 <= partition_of(workload, PARTITIONS) < PARTITIONS


@pytest.mark.broker
def test_partition_of__is_librdkafkas(topics: Settings):
    """A producer of ours that names no partition lands where partition_of says, on a real broker."""
    workloads = [f"workload-{number}" for number in range(200)]
    landed: dict[bytes | None, int | None] = {}
    producer = Producer(clients.producer(topics))
    for workload in workloads:
        producer.produce(
            clients.topic_name(topics, TRAFFIC), b"x", workload,
            on_delivery=lambda error, message: landed.update({message.key(): message.partition()}),
        )  # fmt: skip
    assert producer.flush(30) == 0

    assert landed == {workload.encode(): partition_of(workload, PARTITIONS) for workload in workloads}
