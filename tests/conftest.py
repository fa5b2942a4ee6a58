"""Fixtures that every room's tests share: one real broker for the session, and fresh topics for a test."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from deploy.edge.process.settings import Settings
from deploy.infra.kafka.embedded import EmbeddedKafka
from deploy.infra.kafka.settings import KafkaSettings
from deploy.infra.kafka.topics import apply, delete
from schemas.errors import Unavailable

pytest_plugins = ["tests.sampling"]
hypothesis.settings.register_profile("millrace", deadline=None)  # on a loaded machine an example may take any time
hypothesis.settings.load_profile("millrace")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the tests, begin with the longest files, so that none is left for the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=_length)


def _length(item: pytest.Item) -> int:
    marks = ("flow", "broker", "slow")
    return next((place for place, mark in enumerate(marks) if item.get_closest_marker(mark)), len(marks))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A running one-node Kafka; `.bootstrap_servers` is its address."""
    given = KafkaSettings.load_to_stay()
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), jars_dir=given.jars_dir, maven_url=given.maven_url)
    try:
        kafka.start()
    except Unavailable as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(f"no broker: {error}")
    try:
        yield kafka
    finally:
        gc.collect()  # clients in cycles would go on reporting the broker's absence while other workers are at work
        kafka.stop()


@pytest.fixture
def topics(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[Settings]:
    """Settings for that broker under a topic prefix of the test's own, with the catalogue applied."""
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        state_dir=tmp_path / "state",
        artefacts_dir=tmp_path / "artefacts",
        workloads_dir=tmp_path / "workloads",
    )
    apply(settings)
    yield settings
    delete(settings)
