"""`millrace topics apply|list`: the catalogue on a cluster, and the offsets at which every group starts.

`apply` is idempotent. It creates what is missing, refuses what differs before it changes anything, and never changes a
topic or moves an offset that is there. Retention is not compared: a cluster's owner may keep records longer or shorter.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import group_name, topic_name
from deploy.edge.topics.command_clients import no_answer, settled
from schemas.errors import ContractError, Unavailable
from schemas.principals import Principal, TopicAccess
from schemas.topics import CATALOGUE, PARTITIONS, STAGES, Topic

TIMEOUT_SECONDS: Final = 15.0
_MUST_MATCH: Final = ("cleanup.policy", "message.timestamp.type", "max.message.bytes")


@dataclass(frozen=True)
class Applied:
    """What `apply` did."""

    created: tuple[str, ...]  # topics
    positioned: tuple[str, ...]  # groups that were given start offsets


def apply(settings: Settings, replication: int = 1) -> Applied:
    """Create the catalogue's missing topics, and give each group without offsets the start of its topics.

    Args:
        settings: the cluster and the prefix of topic and group names.
        replication: copies of each new topic.

    Raises:
        ContractError: topics differ from the catalogue; nothing was changed.
        Unavailable: the cluster does not answer, or refuses.
    """
    admin = command_clients.admin(settings)
    try:
        there = _existing(admin, settings)
        _refuse_mismatches(admin, settings, there)
        missing = [topic for topic in CATALOGUE if topic_name(settings, topic) not in there]
        _create(admin, settings, missing, replication)
        _refuse_mismatches(admin, settings, _existing(admin, settings))  # another may have created one meanwhile
        new = {topic_name(settings, topic) for topic in missing}
        with ThreadPoolExecutor(len(STAGES)) as pool:  # each waits about a second for its group's coordinator
            positioned = dict(zip(STAGES, pool.map(lambda stage: _position(settings, stage, new), STAGES), strict=True))
    except KafkaException as error:
        raise no_answer(settings.bootstrap_servers, error.args[0]) from error
    return Applied(
        tuple(topic_name(settings, topic) for topic in missing),
        tuple(group_name(settings, stage) for stage, was_bare in positioned.items() if was_bare),
    )


def delete(settings: Settings) -> None:
    """Delete the catalogue's topics of a prefix, for tests that share a broker.

    Raises:
        ContractError: there is no prefix: the topics may be someone's.
    """
    if not settings.topic_prefix:
        raise ContractError("only topics under a prefix are deleted")
    admin = command_clients.admin(settings)
    there = list(_existing(admin, settings))
    for future in admin.delete_topics(there, operation_timeout=TIMEOUT_SECONDS).values() if there else ():
        future.exception()


def _existing(admin: AdminClient, settings: Settings) -> dict[str, int]:
    """Return the catalogue's topics that are on the cluster, with their numbers of partitions."""
    names = {topic_name(settings, topic) for topic in CATALOGUE}
    topics = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
    return {name: len(topic.partitions) for name, topic in topics.items() if name in names and topic.error is None}


def _refuse_mismatches(admin: AdminClient, settings: Settings, there: dict[str, int]) -> None:
    found = []
    by_name = {topic_name(settings, topic): topic for topic in CATALOGUE}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in there]
    described = admin.describe_configs(resources, request_timeout=TIMEOUT_SECONDS) if resources else {}
    for resource in resources:
        is_ = described[resource].result(TIMEOUT_SECONDS)
        must = by_name[resource.name].config()
        if there[resource.name] != PARTITIONS:
            found.append(f"{resource.name} has {there[resource.name]} partitions, must have {PARTITIONS}")
        found += [
            f"{resource.name} has {key} = {is_[key].value}, must have {must[key]}"
            for key in _MUST_MATCH if is_[key].value != must[key]
        ]  # fmt: skip
    if found:
        raise ContractError("topics differ from the catalogue, none was changed: " + "; ".join(found))


def _create(admin: AdminClient, settings: Settings, missing: Sequence[Topic], replication: int) -> None:
    """Create topics and wait until each partition has a leader."""
    if not missing:
        return
    new = [NewTopic(topic_name(settings, topic), PARTITIONS, replication, config=topic.config()) for topic in missing]
    for future in admin.create_topics(new, operation_timeout=TIMEOUT_SECONDS).values():
        error = future.exception(2 * TIMEOUT_SECONDS)
        if error is not None and error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise error
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        topics = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
        leaders = [[part.leader for part in topics[topic.topic].partitions.values()] if topic.topic in topics else []
                   for topic in new]  # fmt: skip
        if all(ids and min(ids) >= 0 for ids in leaders):
            return
        if time.monotonic() > deadline:
            raise Unavailable("the new topics have no leaders yet; look at the cluster and apply again")
        time.sleep(0.05)


def _position(settings: Settings, stage: Principal, new: Collection[str]) -> bool:
    """Commit the log starts of a stage's topics where its group has no offset; return whether there was any.

    A new topic starts at 0 and is not asked: its leaders may not be ready to answer yet.
    """
    topics = STAGES[stage]
    places = [TopicPartition(topic_name(settings, topic), part) for topic in topics for part in range(PARTITIONS)]
    group = command_clients.group_positions(settings, stage)
    try:
        answers = settled(lambda: group.committed(places, TIMEOUT_SECONDS))
        bare = [place for place in answers if place.offset < 0]
        starts = [
            TopicPartition(
                place.topic, place.partition,
                0 if place.topic in new else _start_of(group, place),
            )
            for place in bare
        ]  # fmt: skip
        if starts:
            # The broker refuses this while the group has members: a running stage's offsets cannot be overrun.
            settled(lambda: group.commit(offsets=starts, asynchronous=False))
    finally:
        group.close()
    return bool(bare)


def _start_of(client: Consumer, place: TopicPartition) -> int:
    return settled(lambda: client.get_watermark_offsets(place, timeout=TIMEOUT_SECONDS))[0]


def show_applied(done: Applied) -> None:
    """Print what `apply` did."""
    print(f"{len(done.created)} topics created, {len(CATALOGUE) - len(done.created)} were there")
    for group in done.positioned:
        print(f"start offsets committed for {group}")


def show_list(settings: Settings) -> None:
    """Print the catalogue, and whether each topic is on the cluster.

    Raises:
        Unavailable: the cluster does not answer, or refuses.
    """
    try:
        there = _existing(command_clients.admin(settings), settings)
    except KafkaException as error:
        raise no_answer(settings.bootstrap_servers, error.args[0]) from error
    for topic in CATALOGUE:
        name = topic_name(settings, topic)
        kept = "compacted" if topic.compacted else f"{topic.retention.days} days" if topic.retention else "for ever"
        mark = f"{there[name]} partitions" if name in there else "missing"
        flow = f"{topic.who(TopicAccess.WRITE)} -> {topic.who(TopicAccess.CONSUME) or topic.who(TopicAccess.READ)}"
        print(f"{name:<24} {mark:<14} {kept:<10} {flow}: {topic.purpose}")
