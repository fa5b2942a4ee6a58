"""The catalogue on a real broker."""

from deploy.edge.settings import Settings
from deploy.kafka.topics import apply


def test_apply__twice(topics: Settings):
    """A second apply changes nothing."""
    done = apply(topics)

    assert ((), ()) == (done.created, done.positioned)
