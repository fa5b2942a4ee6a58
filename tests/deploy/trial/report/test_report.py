"""What a report promises to whoever opens it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from deploy.trial.report import pictures
from deploy.trial.report.inputs import StageFlow, Summary
from deploy.trial.report.report import headline, write_report
from schemas.errors import BadInput
from schemas.events import RolloutState
from tests.deploy.trial.report import loop


class Balanced(HTMLParser):
    """Fails on a tag that is closed without having been opened, and remembers what was left open."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """A tag that closes itself opens nothing."""

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def page(tmp_path: Path, **changes: Any) -> str:
    given: dict[str, Any] = {
        "workload": "newswire", "evidence": loop.evidence(), "flow": loop.flow(), "statuses": loop.statuses(),
        "predictions": loop.predictions(), "rows": loop.rows(), "notes": ["The teacher was a stand-in."],
    }  # fmt: skip
    return write_report(loop.summary(), tmp_path / "report.html", **(given | changes)).read_text()


def test_report__is_whole_and_reaches_for_nothing(tmp_path: Path) -> None:
    """The page is balanced HTML with five pictures inside, without scripts and without anything from elsewhere."""
    text = page(tmp_path)
    parser = Balanced()
    parser.feed(text)

    assert parser.open == []
    assert text.count("<svg") == 5
    assert not re.search(r"<script|<link|<img|@import|url\((?!#)|src=", text)
    assert not re.search(r'href="(?!#)', re.sub(r'xmlns(:\w+)?="[^"]*"', "", text))


def test_report__says_the_figures(tmp_path: Path) -> None:
    """Residual, students with intervals, the gate's reasons, the class table and the transitions are in words."""
    text = page(tmp_path)

    for words in ("0.853", "[0.823, 0.881]", "effective 640", "71.2%", "the lower bound of agreement", "not judged",
                  "5,484 curated", "48,210", "labour issues", "The teacher was a stand-in.",
                  "newswire-e1-4f9c2d71aa03", "512,345", "0.0873", "reach the threshold of 5,000"):  # fmt: skip
        assert words.lower() in text.lower()


def test_report__follows_the_theme(tmp_path: Path) -> None:
    """Pictures take every colour from the page, so that they are readable in light and dark."""
    svgs = re.findall(r"<svg.*?</svg>", page(tmp_path), re.DOTALL)

    for svg in svgs:
        assert "var(--ink)" in svg
        assert re.findall(r"#[0-9a-f]{6}\b", re.sub(r'(?:id|clip-path|href)="[^"]*"', "", svg)) == []
        assert 'role="img"' in svg
        ET.fromstring(svg)  # noqa: S314 - our own text


def test_report__what_people_wrote_is_text(tmp_path: Path) -> None:
    """A label, a reason or a name with markup in it is shown as it is, in tables and in pictures."""
    wild = "<script>alert(1)</script>"
    text = write_report(
        loop.summary(window={"rows": 3, "classes": {wild: 3}}, gate={"decision": "hold", "reasons": [wild]}),
        tmp_path / "report.html", workload=wild, evidence=loop.evidence({wild: 40}),
        predictions=loop.predictions({wild: 40}),
    ).read_text()  # fmt: skip

    assert "<script" not in text


def test_report__with_the_summary_alone(tmp_path: Path) -> None:
    """Whatever else is not there is left out."""
    text = write_report(loop.summary(), tmp_path / "deep" / "report.html", workload="newswire").read_text()

    assert "Students on the test rows" in text
    assert "What becomes of what" not in text


def test_report__many_classes(tmp_path: Path) -> None:
    """With 77 classes the pictures draw those with the most rows and the table holds them all."""
    classes = {f"intent_{number}": 300 - 3 * number for number in range(77)}
    text = page(tmp_path, evidence=loop.evidence(classes), predictions=loop.predictions(classes))

    assert f"The {77 - pictures.MOST_CLASSES} classes with the fewest test rows" in text
    assert "intent_76" in text


@pytest.mark.parametrize(
    ("decision", "state", "words"),
    [
        ("promote", "promoted", "in production"),
        ("promote", "ROLLED_BACK", "taken back"),
        ("reject", "idle", "the teacher goes on"),
        ("insufficient_evidence", "idle", "does not suffice"),
        ("promote", "CANARY", "is at canary"),
    ],
)
def test_headline__says_how_it_ended(decision: str, state: str, words: str) -> None:
    """The first sentence is honest for every end."""
    summary = loop.summary(
        gate={"decision": decision, "reasons": []}, rollout={"final_state": state, "steps": []}, champion=None
    )

    assert words in headline(summary)


def test_rollout_picture__rolled_back(tmp_path: Path) -> None:
    """A rollout that was taken back says so in the picture's own words."""
    svg = pictures.rollout(loop.statuses(RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK))

    assert "rolled back" in svg
    assert "ending ROLLED_BACK" in svg


def test_summary__keys_are_those_of_the_contract() -> None:
    """summary.json has exactly the agreed keys."""
    assert set(Summary.model_fields) == {
        "seconds", "records", "residual", "duplicates", "near_duplicates", "pii", "dead_letters", "window", "students",
        "gate", "promotion", "rollout", "champion", "teacher", "saving", "triggers",
    }  # fmt: skip


def test_summary__mistake_is_named() -> None:
    """A missing, unknown or mistyped key is reported with its path."""
    with pytest.raises(BadInput, match="summary: residual"):
        loop.summary(residual="many")
    with pytest.raises(BadInput, match="summary: colour"):
        loop.summary(colour="red")


def test_predictions__without_a_student(tmp_path: Path) -> None:
    """Predictions without the student's column are refused by name."""
    with pytest.raises(BadInput, match="student"):
        page(tmp_path, predictions=loop.predictions().drop_columns(["student"]))


def test_stage_flow__residual() -> None:
    """The residual is what a stage consumed and did not bring anywhere."""
    assert StageFlow(stage="curate", consumed=10, outcomes={"curated": 7, "discarded": 2}).residual == 1


@pytest.mark.slow
def test_class_mix__is_told_by_evaluation_rows(tmp_path: Path) -> None:
    """Training rows, which quotas balance, change nothing; rows count by their inverse propensity; few draw nothing."""
    text = page(tmp_path)
    mix = text[text.index("The class mix over time") :]

    assert page(tmp_path, rows=loop.rows(training=500)) == text
    assert "25 to 75 %" in mix
    assert "The class mix over time" not in page(tmp_path, rows=loop.rows(evaluation=90))
    with pytest.raises(BadInput, match="propensity"):
        page(tmp_path, rows=loop.rows().drop_columns(["propensity"]))
