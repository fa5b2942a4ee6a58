"""A mistake in a setting names the variable, the value and the remedy."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from deploy.edge.process import logs
from deploy.edge.process.settings import Settings, shown
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
    ("value", "words"),
    [(None, "none"), (["a", "b"], '["a", "b"]'), (8000, "8000"), ("https://user:pass@host/", "https://…@host/")],
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
