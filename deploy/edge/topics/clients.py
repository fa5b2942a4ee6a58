"""Configuration of Kafka clients: one place for names, addresses, security and the partitioner.

librdkafka's default partitioner disagrees with Java's on most keys, so every producer here says murmur2; ours name the
partition besides.
"""

from __future__ import annotations

import ssl
from typing import Any, Final, Literal, NoReturn

from deploy.edge.process.settings import Settings
from schemas.errors import ContractError
from schemas.principals import Principal, TopicAccess
from schemas.topics import Topic, allowed

SILENT: Final = {
    "log_level": 0
}  # for clients whose own messages say better what is wrong than librdkafka, which logs every connection
Isolation = Literal["read_committed", "read_uncommitted"]


class TopicNames(dict[Topic, str]):
    """The names on this cluster of the topics to which a principal has an access; any other topic is refused.

    A client looks its topics up here alone, so that none can do what the catalogue does not say. It costs a look-up in
    place of putting the name together.
    """

    def __init__(self, settings: Settings, principal: Principal, access: TopicAccess) -> None:
        super().__init__({topic: topic_name(settings, topic) for topic in allowed(principal, access)})
        self._principal, self._access = principal, access

    def __missing__(self, topic: Topic) -> NoReturn:
        raise ContractError(
            f"{self._principal} may not {self._access} {topic.name}: schemas/topics.py must say so first"
        )


def topic_name(settings: Settings, topic: Topic) -> str:
    """Return the topic's name on this cluster: the catalogue's with the prefix in front."""
    return settings.topic_prefix + topic.name


def group_name(settings: Settings, stage: str) -> str:
    """Return the consumer group of a stage (a key of `schemas.topics.STAGES`) on this cluster."""
    return f"{settings.topic_prefix}millrace-{stage}"


def librdkafka(settings: Settings, **more: Any) -> dict[str, Any]:
    """Return the configuration that all confluent-kafka clients share, with `more` (dots as in librdkafka) on top."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            "sasl.password": settings.sasl_password.get_secret_value() if settings.sasl_password else None,
        }
    if settings.ssl_ca_file:
        config["ssl.ca.location"] = str(settings.ssl_ca_file)
    return config | {name.replace("_", "."): value for name, value in more.items()}


def groupless(settings: Settings, reader: Principal, isolation: Isolation = "read_committed") -> dict[str, Any]:
    """Return the configuration of a consumer that reads what it is assigned: no group is joined, no offset committed.

    What retention takes while it reads is passed over.
    """
    return librdkafka(settings) | {
        "group.id": f"{settings.topic_prefix}millrace-{reader}-reads",  # asked for by the client; never joined
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": isolation,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 20,  # at the end of a partition the broker holds an answer back for so long
    }


def producer(settings: Settings, **more: Any) -> dict[str, Any]:
    """Return the configuration of an idempotent producer.

    One request at a time: with more, librdkafka takes a later request's answer for an acknowledgement of one before
    that was refused. A broker takes any first request of a producer on a partition, so what was refused while there was
    no leader yet counted as written and was lost: on 11 of 60 topics that were just made, on none with one request
    (tests/faults/test_acknowledged.py). In transactions of 100 to 20,000 records it costs nothing that can be measured.
    """
    return (
        librdkafka(settings)
        | {
            "enable.idempotence": True,
            "max.in.flight.requests.per.connection": 1,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.max.bytes": 4_000_000,
        }
        | {name.replace("_", "."): value for name, value in more.items()}
    )


def aiokafka(settings: Settings, **more: Any) -> dict[str, Any]:
    """Return the arguments that all aiokafka clients share."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value() if settings.sasl_password else None,
        }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.ssl_ca_file)
    return options | more
