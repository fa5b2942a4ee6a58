"""What is played from a user's own text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.trial.demo import scene
from schemas.errors import BadInput

URL = "http://127.0.0.1:1/v1"
ROWS = [(f"text number {n} about {('dogs', 'cats')[n % 2]}", ("dog", "cat")[n % 2]) for n in range(1_500)]


def lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_own_text__no_question_stands_in_the_traffic(tmp_path: Path) -> None:
    """The texts asked of the router in phase 2 are none of those played in phase 1."""
    played = scene.own_text(tmp_path, URL, ROWS, "pets", fitted=False, seed=1)

    asked = {text for _, text in played.questions}
    fed = {row["text"] for row in lines(tmp_path / "planted" / "traffic.jsonl")}
    assert asked
    assert fed
    assert not asked & fed


def test_own_text__fitted_teacher_never_saw_the_traffic(tmp_path: Path) -> None:
    """With a fitted teacher a third of the rows is set apart, and the traffic carries no answers."""
    played = scene.own_text(tmp_path, URL, ROWS, "pets", fitted=True, seed=1)

    apart = {row["text"] for row in lines(tmp_path / "planted" / "fitted.jsonl")}
    fed = lines(tmp_path / "planted" / "traffic.jsonl")
    assert len(apart) == len(ROWS) // 3
    assert not apart & {row["text"] for row in fed}
    assert not any("label" in row for row in fed)
    assert "--label" not in played.feed


def test_own_text__same_seed_same_play(tmp_path: Path) -> None:
    """Twice with one seed is the same traffic and the same questions."""
    one = scene.own_text(tmp_path / "one", URL, ROWS, "pets", fitted=False, seed=3)
    two = scene.own_text(tmp_path / "two", URL, ROWS, "pets", fitted=False, seed=3)

    assert one.questions == two.questions
    assert lines(tmp_path / "one/planted/traffic.jsonl") == lines(tmp_path / "two/planted/traffic.jsonl")


@pytest.mark.parametrize("rows", [ROWS[:10], [(text, "one") for text, _ in ROWS]])
def test_own_text__too_little_to_learn_from(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """Too few rows, or a single label, is reported before anything starts."""
    with pytest.raises(BadInput, match="1000 rows with two labels"):
        scene.own_text(tmp_path, URL, rows, "pets", fitted=False, seed=1)


def test_labelled_rows__missing_column(tmp_path: Path) -> None:
    """A column that is not there is named, beside those that are."""
    file = tmp_path / "own.csv"
    file.write_text("headline,topic\nProfit up,earnings\n")

    with pytest.raises(BadInput, match=r"'subject'.*headline, topic"):
        scene.labelled_rows(file, "headline", "subject")
    assert scene.labelled_rows(file, None, None) == [("Profit up", "earnings")]


def test_newswire__teacher_knows_every_text_and_no_question_repeats(tmp_path: Path) -> None:
    """Every text of both phases is in the teacher's truth, and phase 2 repeats none of phase 1."""
    played = scene.newswire(tmp_path, URL, scene.newswire_file(), seed=5, records=600)

    known = lines(tmp_path / "planted" / "truth.jsonl")
    fed = {entry.text for entry in played.entries if entry.text}
    assert not fed & {text for _, text in played.questions}
    assert len(known) >= len({text for _, text in played.questions})
    assert len({identity for identity, _ in played.questions}) == len(played.questions)
