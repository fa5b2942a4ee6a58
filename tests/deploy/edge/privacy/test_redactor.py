"""What a process makes of a workload's privacy section: keys from the environment, policies by source, names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from deploy.edge.privacy import redactor as redactor_module
from deploy.edge.privacy.redactor import Redactor, redactors
from schemas.errors import SettingsError
from schemas.rules.privacy.kinds import RULED, Kind
from schemas.rules.privacy.redact import Policy
from schemas.rules.privacy.rule import Span
from schemas.sections.intake import Privacy, SourcePrivacy
from schemas.workload import Workload

KEY = "a key of the deployment, drawn at random"


def workload(**section: object) -> dict[str, Workload]:
    return {"news": Workload(name="news", labels=["up", "down"], privacy=Privacy.model_validate(section))}


class Capitalised:
    """Takes every pair of capitalised words for a name, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Return where such pairs stand."""
        self.asked += texts
        return [[match.span() for match in re.finditer(r"[A-Z][a-z]+ [A-Z][a-z]+", text)] for text in texts]


def test_redactors__read_the_key_from_the_environment():
    """With the same key, two processes give the same token; with another one they do not."""
    one, same, other = (
        redactors(workload(token_key_env="PRIVACY_KEY"), {"PRIVACY_KEY": key})["news"].redact("a@b.com").text
        for key in (KEY, KEY, KEY[::-1])
    )

    assert one == same != other
    assert re.fullmatch(r"<EMAIL:[0-9a-f]{12}>", one)


def test_redactors__without_a_key_named__need_none():
    """Linking is asked for: a workload that names no variable gets plain placeholders."""
    assert redactors(workload(), {})["news"].redact("a@b.com").text == "<EMAIL>"


@pytest.mark.parametrize(("held", "says"), [({}, "is not set"), ({"PRIVACY_KEY": "hunter2"}, "less than 16 bytes")])
def test_redactors__without_a_usable_key__end_the_start(held, says):
    """A key that is missing or too short is reported by its variable and the remedy, never by its value."""
    with pytest.raises(SettingsError, match=says) as caught:
        redactors(workload(token_key_env="PRIVACY_KEY"), held)

    assert (caught.value.field, caught.value.value) == ("news: privacy.token_key_env", "PRIVACY_KEY")
    assert "hunter2" not in str(caught.value)


def test_redact_all__each_text_as_its_source_asks():
    """Texts of several sources come back in order, each under its own policy; an unknown source has the default."""
    one = redactors(workload(sources={"desk": SourcePrivacy(kinds=[Kind.EMAIL]), "open": SourcePrivacy(kinds=[])}), {})[
        "news"
    ]
    text = "a@b.com or +44 20 7946 0958"

    found = one.redact_all([text] * 4, ["", "desk", "open", "elsewhere"])

    assert [redacted.text for redacted in found] == [
        "<EMAIL> or <PHONE>", "<EMAIL> or +44 20 7946 0958", text, "<EMAIL> or <PHONE>",
    ]  # fmt: skip


def test_redact_all__names_only_where_a_source_wants_them_gone():
    """Public news keeps its names: only texts of sources that redact them reach the model, already redacted."""
    names = Capitalised()
    one = Redactor({"": Policy(), "mail": Policy(RULED | {Kind.NAME})}, names)

    found = one.redact_all(["Tim Cook speaks", "Ada Abel, a@b.com"], ["wire", "mail"])

    assert [redacted.text for redacted in found] == ["Tim Cook speaks", "<NAME>, <EMAIL>"]
    assert [redacted.counts for redacted in found] == [{}, {"email": 1, "name": 1}]
    assert names.asked == ["Ada Abel, <EMAIL>"]


def test_redactors__load_a_model_once(monkeypatch):
    """Two workloads that want the same model share it; one that keeps names loads none."""
    loaded = []

    def load(field: str, model: str) -> Capitalised:
        loaded.append((field, model))
        return Capitalised()

    monkeypatch.setattr(redactor_module, "PresidioNames", load)
    wants = workload(names="redact")["news"]
    made = redactors({"a": wants, "b": wants, "c": workload()["news"]}, {})

    assert loaded == [("a: privacy.names_model", "en_core_web_sm")]
    assert [made[name].redact("Ada Abel").text for name in made] == ["<NAME>", "<NAME>", "Ada Abel"]
