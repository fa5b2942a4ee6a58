"""The registry client, against a double with Confluent's routes over real HTTP."""

import pytest

from deploy.edge.topics.registry import Registry
from schemas import codec
from schemas.errors import ContractError, SettingsError, Unavailable
from schemas.records import TrafficRecord
from tests.deploy.edge.topics.registry_double import Double

SOURCE = codec.writer_schema(TrafficRecord).source


def test_registry__both_directions(double: Double):
    """A schema that was registered for a topic is found under the id that it got."""
    registry = Registry(double.url, ["127.0.0.1"])

    assert registry.schema_of_id(registry.register("traffic", TrafficRecord)) == SOURCE
    assert double.asked == ["/subjects/traffic-value/versions", "/schemas/ids/1"]


@pytest.mark.parametrize("schema", ['"string"', "[1]"])
def test_registry__knows_no_record_under_an_id(double: Double, schema: str):
    """An id without a schema, or with one that is no Avro record, is none."""
    double.add(schema)
    registry = Registry(double.url, ["127.0.0.1"])

    assert [registry.schema_of_id(1), registry.schema_of_id(9)] == [None, None]


def test_registry__fails(double: Double):
    """A failure is worth a retry."""
    double.fails = True
    registry = Registry(double.url, ["127.0.0.1"])

    for ask in (lambda: registry.schema_of_id(1), lambda: registry.register("traffic", TrafficRecord)):
        with pytest.raises(Unavailable, match="500"):
            ask()


def test_registry__refuses_a_schema(double: Double):
    """An incompatible schema is a broken contract, which no retry mends."""
    double.refuses = True

    with pytest.raises(ContractError, match="incompatible"):
        Registry(double.url, ["127.0.0.1"]).register("traffic", TrafficRecord)


def test_registry__with_a_password(double: Double):
    """User and password of the address are sent as basic authentication and never shown in an error."""
    registry = Registry(double.url.replace("http://", "http://desk:s3cret@"), ["127.0.0.1"])
    registry.register("traffic", TrafficRecord)
    double.fails = True

    with pytest.raises(Unavailable) as refused:
        registry.schema_of_id(1)

    assert double.sent == ["Basic ZGVzazpzM2NyZXQ="] * 2
    assert "s3cret" not in str(refused.value)


def test_registry__not_there_or_not_allowed():
    """A registry that is down is unavailable; one on a host that is not allowed is a mistake reported at the start."""
    with pytest.raises(Unavailable):
        Registry("http://127.0.0.1:9", ["127.0.0.1"]).schema_of_id(1)
    for address, remedy in (
        ("http://u:s3cret@registry.example", "MILLRACE_ALLOWED_HOSTS"),
        ("registry", "http or https"),
    ):
        with pytest.raises(SettingsError, match=remedy) as refused:
            Registry(address, ["127.0.0.1"])
        assert "s3cret" not in str(refused.value)
