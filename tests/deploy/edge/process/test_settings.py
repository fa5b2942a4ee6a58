"""A mistake in a setting names the variable, the value and the remedy."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from deploy.edge.process import logs
from deploy.edge.process.guarded_http import check_url
from deploy.edge.process.settings import Settings, shown
from deploy.edge.stores.object_store import ObjectStore
from deploy.edge.topics.registry import Registry
from deploy.serve.router.settings import RouterSettings
from schemas.errors import BadInput, SettingsError
from streams.settings import WorkerSettings


@pytest.mark.parametrize(
    ("settings", "name", "value", "remedy"),
    [
        (RouterSettings, "ROUTER_PORT", "abc", "give a whole number from 1 to 65535"),
        (RouterSettings, "ROUTER_PORT", "70000", "give a whole number from 1 to 65535"),
        (RouterSettings, "BODY_BYTES", "0", "give a whole number above 0"),
        (WorkerSettings, "STALL_SECONDS", "soon", "give a number above 0"),
        (WorkerSettings, "GROUP_PROTOCOL", "modern", "give classic or consumer"),
        (Settings, "SECURITY_PROTOCOL", "TLS", "give PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        (Settings, "ALLOWED_HOSTS", "localhost", "give a JSON list of texts"),
        (RouterSettings, "STUDENT_URLS", "[8002]", "give a JSON list of texts"),
    ],
)
def test_load__value_that_cannot_be_used(
    settings: type[Settings], name: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to give instead, in one line."""
    monkeypatch.setenv(f"MILLRACE_{name}", value)
    with pytest.raises(SettingsError) as caught:
        settings.load()

    assert str(caught.value).startswith(f"MILLRACE_{name} = ")
    assert str(caught.value).endswith(f": {remedy}")
    assert "\n" not in str(caught.value)


def test_load__list_that_is_none_hides_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a mistake is shown without the password in its URL."""
    monkeypatch.setenv("MILLRACE_STUDENT_URLS", "http://user:hunter2@students:8002")
    with pytest.raises(SettingsError, match=r"MILLRACE_STUDENT_URLS = 'http://…@students:8002'") as caught:
        RouterSettings.load()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PASSWORD": "p"},
            "SASL_USERNAME = '': is needed with SASL_SSL; set it",
        ),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "u"},
            "SASL_PASSWORD = '': is needed with SASL_SSL; set it",
        ),
        ({"SSL_CA_FILE": "no.pem"}, "SSL_CA_FILE = 'no.pem': is no file; give one"),
        *(
            ({"BOOTSTRAP_SERVERS": wrong}, f"BOOTSTRAP_SERVERS = {wrong!r}: give host:port, several with commas")
            for wrong in ("", "kafka:nope", "kafka:1,", "http://kafka:1")
        ),
    ],
)
def test_load__no_kafka_client_can_start(given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at the start, by commands and by processes that stay: a client would end with a stack trace."""
    for name, value in given.items():
        monkeypatch.setenv(f"MILLRACE_{name}", value)
    with pytest.raises(SettingsError) as caught:
        WorkerSettings.load_to_stay()

    assert str(caught.value).startswith(f"MILLRACE_{named}")


def test_load__kafka_on_several_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, addresses of both kinds and a server without its port are taken as they are."""
    monkeypatch.setenv("MILLRACE_BOOTSTRAP_SERVERS", "kafka-0.kafka:9092, 10.0.0.1:9092,[::1]:9092,kafka")

    assert Settings.load().bootstrap_servers.count(",") == 3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        (["a", "b"], '["a", "b"]'),
        (8000, "8000"),
        ("https://user:pass@host/", "https://…@host/"),
        ("s3://key:pass/word@bucket/x?token=pass", "s3://…@bucket/x?…"),
    ],
)
def test_shown__as_a_variable_spells_it(value: object, words: str) -> None:
    """A value is shown as it would be set, without a password."""
    assert shown(value) == words


def test_workload__none_of_several_named(tmp_path: Path) -> None:
    """Where there are several workloads and none is named, the error lists them."""
    for name in ("news", "wire"):
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"\nlabels = ["up", "down"]\n')

    with pytest.raises(BadInput, match=r"^WORKLOAD = none: there are several; name one of news, wire$"):
        Settings.load(workloads_dir=tmp_path).workload(None)


@pytest.mark.parametrize("url", ["http://user:hunter2@teacher.example/v1", "s3://key:hunter2/x@bucket/y"])
def test_mistake__in_an_address__hides_its_password(url: str) -> None:
    """Whoever refuses an address, of a teacher or of a store: its password is in no message."""
    with pytest.raises(SettingsError) as host:
        check_url("teacher.url", url, [])
    with pytest.raises(SettingsError) as store:
        ObjectStore(url)
    with pytest.raises(SettingsError) as registry:
        Registry(url, [])

    assert "hunter2" not in f"{host.value} {store.value} {registry.value}"


def test_log__message_of_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """An event is one line of the log, whatever another program's words look like."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.start(Settings.load(), "test").warning("no room:\n%s", "disk\nfull")
    finally:
        root.handlers, level = before
        root.setLevel(level)

    assert capsys.readouterr().err.rstrip("\n").endswith("WARNING millrace.test  no room: disk full")
