"""A schema registry for each test."""

from collections.abc import Iterator

import pytest

from tests.deploy.edge.topics.registry_double import Double, serving


@pytest.fixture
def double() -> Iterator[Double]:
    """Serve a registry that knows nothing yet."""
    with serving() as one:
        yield one
