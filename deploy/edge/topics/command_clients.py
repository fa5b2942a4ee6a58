"""Kafka's clients for commands, which ask and then end: one line for a person, soon, instead of a client's commentary.

Each client made here is silent and has had a first answer from the cluster; what it is asked afterwards may take
longer. Processes that stay make their own clients, which log and wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from deploy.edge.process.settings import Settings
from deploy.edge.topics import clients
from deploy.edge.topics.clients import SILENT, Isolation
from schemas.errors import Unavailable
from schemas.principals import Principal

FIRST_ANSWER_SECONDS: Final = 5.0
SETTLING_SECONDS: Final = 15.0  # a partition that is just made or moved has no leader for a moment
_AT_ONCE: Final = {"reconnect.backoff.max.ms": 200}  # a broker that is just starting is asked again
# librdkafka's own codes start with an underscore.
_NOBODY: Final = (
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
)
_SETTLING: Final = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
)

C = TypeVar("C", Consumer, AdminClient, Producer)
T = TypeVar("T")


def consumer(settings: Settings, reader: Principal, isolation: Isolation = "read_committed") -> Consumer:
    """Return a consumer that joins no group.

    Raises:
        Unavailable: the cluster does not answer.
    """
    return _answered(Consumer, clients.groupless(settings, reader, isolation))


def admin(settings: Settings) -> AdminClient:
    """Return a client for the cluster's own business.

    Raises:
        Unavailable: the cluster does not answer.
    """
    return _answered(AdminClient, clients.librdkafka(settings))


def producer(settings: Settings, **more: Any) -> Producer:
    """Return an idempotent producer, with more of its configuration as for `clients.producer`.

    Raises:
        Unavailable: the cluster does not answer.
    """
    return _answered(Producer, clients.producer(settings, **more))


def group_positions(settings: Settings, stage: Principal) -> Consumer:
    """Return a client that reads and writes a group's offsets without joining it.

    Asking the admin client instead loses the first request for a new group, and the client then never ends: seen with
    librdkafka 2.16 while the broker was making its offsets topic.

    Raises:
        Unavailable: the cluster does not answer.
    """
    own = {"group.id": clients.group_name(settings, stage), "enable.auto.commit": False}
    return _answered(Consumer, clients.librdkafka(settings) | own)


def broker_answers(config: dict[str, Any], seconds: float) -> bool:
    """Return whether a broker answers a request for metadata in time."""
    try:
        _answered(AdminClient, config, seconds)
    except Unavailable:
        return False
    return True


def no_answer(servers: str, error: KafkaError) -> Unavailable:
    """Return what is said to a person of an error of Kafka's: nobody is there, or the cluster's own words."""
    if error.code() in _NOBODY:
        return Unavailable(
            f"no answer from {servers} ({error.str()}); `millrace up` or `millrace kafka start` starts a broker, "
            "MILLRACE_BOOTSTRAP_SERVERS or --bootstrap-servers names another"
        )
    return Unavailable(f"the cluster at {servers} refuses: {error.str()}")


def _is_settling(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _SETTLING


@retry(
    retry=retry_if_exception(_is_settling), stop=stop_after_delay(SETTLING_SECONDS), wait=wait_fixed(0.1), reraise=True
)
def settled(ask: Callable[[], T]) -> T:
    """Return the answer, asking again while a leader or a coordinator is being found.

    Raises:
        KafkaException: none was found.
    """
    return ask()


def _answered(make: Callable[[dict[str, Any]], C], config: dict[str, Any], seconds: float = FIRST_ANSWER_SECONDS) -> C:
    said: list[KafkaError] = []
    client = make(config | SILENT | _AT_ONCE | {"error_cb": said.append})
    try:
        client.list_topics(timeout=seconds)
    except KafkaException as error:
        client.poll(0)  # hands over what the client has to say, the reason first
        raise no_answer(config["bootstrap.servers"], (said or error.args)[0]) from error
    return client
