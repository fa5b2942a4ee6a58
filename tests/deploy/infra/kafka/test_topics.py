"""The catalogue on a real broker."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import group_name, librdkafka, producer, topic_name
from deploy.infra.kafka.topics import apply
from schemas.errors import ContractError, Unavailable
from schemas.principals import Principal
from schemas.topics import CATALOGUE, PARTITIONS, STAGES, TRAFFIC

pytestmark = pytest.mark.broker


def committed(settings: Settings, stage: Principal) -> list[int]:
    group = Consumer(librdkafka(settings) | {"group.id": group_name(settings, stage)})
    try:
        places = [TopicPartition(topic_name(settings, t), p) for t in STAGES[stage] for p in range(PARTITIONS)]
        return [place.offset for place in group.committed(places, 10)]
    finally:
        group.close()


def test_apply__makes_the_catalogue_and_positions_every_group(topics: Settings):
    """After apply every topic is as the catalogue says, and every group starts at the log start."""
    admin = AdminClient(librdkafka(topics))
    names = [topic_name(topics, topic) for topic in CATALOGUE]
    there = admin.list_topics(timeout=10).topics
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    configs = {r.name: f.result(10) for r, f in admin.describe_configs(resources).items()}

    assert [len(there[name].partitions) for name in names] == [PARTITIONS] * len(CATALOGUE)
    for topic in CATALOGUE:
        for key, value in topic.config().items():
            assert configs[topic_name(topics, topic)][key].value == value
    for stage, read in STAGES.items():
        assert committed(topics, stage) == [0] * PARTITIONS * len(read)


def test_apply__again_changes_nothing_and_moves_no_offset(topics: Settings):
    """A second apply changes nothing; an offset that a group has committed stays where it is."""
    group = Consumer(librdkafka(topics) | {"group.id": group_name(topics, "curate")})
    group.commit(offsets=[TopicPartition(topic_name(topics, TRAFFIC), 3, 2)], asynchronous=False)
    group.close()

    done = apply(topics)

    assert (done.created, done.positioned) == ((), ())
    assert committed(topics, Principal.CURATE) == [0, 0, 0, 2, 0, 0, 0, 0]


def test_apply__where_the_log_starts_later(topics: Settings):
    """A group without offsets starts at the log start, not at 0 and not at the end."""
    name = topic_name(topics, TRAFFIC)
    writer = Producer(producer(topics))
    for _ in range(5):
        writer.produce(name, b"x", partition=1)
    assert writer.flush(20) == 0
    admin = AdminClient(librdkafka(topics))
    for future in admin.delete_records([TopicPartition(name, 1, 3)]).values():
        future.result(10)
    admin.delete_consumer_groups([group_name(topics, "curate")])[group_name(topics, "curate")].result(10)

    done = apply(topics)

    assert done.positioned == (group_name(topics, "curate"),)
    assert committed(topics, Principal.CURATE) == [0, 3, 0, 0, 0, 0, 0, 0]


def test_apply__refuses_what_differs(broker, tmp_path):
    """Topics that differ are reported with what is and what must be, all at once, and nothing is changed."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"{tmp_path.name}.")
    admin = AdminClient(librdkafka(settings))
    wrong = [
        NewTopic(settings.topic_prefix + "traffic", 3, 1, config={"max.message.bytes": "1000000"}),
        NewTopic(settings.topic_prefix + "model-state", PARTITIONS, 1, config={"cleanup.policy": "delete"}),
    ]
    for future in admin.create_topics(wrong, operation_timeout=10).values():
        future.result(20)

    while not {topic.topic for topic in wrong} <= admin.list_topics(timeout=10).topics.keys():
        pass  # the answer comes from the broker's own copy of the metadata, which lags by some milliseconds

    with pytest.raises(ContractError) as caught:
        apply(settings)

    said = str(caught.value)
    assert f"{settings.topic_prefix}traffic has 3 partitions, must have 8" in said
    assert "traffic has message.timestamp.type = CreateTime, must have LogAppendTime" in said
    assert "model-state has cleanup.policy = delete, must have compact" in said
    assert settings.topic_prefix + "labels" not in admin.list_topics(timeout=10).topics


def test_apply__more_copies_than_brokers(broker, tmp_path):
    """What the cluster refuses is reported in its own words."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"{tmp_path.name}.")

    with pytest.raises(Unavailable, match=r"refuses: .*replication factor"):
        apply(settings, replication=3)
