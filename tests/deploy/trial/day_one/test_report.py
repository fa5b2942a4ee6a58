"""`millrace replay FILE --report`: the whole way, from a file to a page, and what becomes of bad input."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.real_text import FOLDER
from benchmarks.student_vs_baseline import read_pairs
from deploy.trial.day_one.figures import Asked, DayOne, day_one
from deploy.trial.day_one.page import write_page
from deploy.trial.day_one.student import Trial, teaching, trial
from deploy.trial.day_one.words import headline
from deploy.trial.simulate.__main__ import main
from tests.deploy.trial.day_one.logs import (
    LABELS,
    NOW,
    WORKLOAD,
    five_fields,
    record,
    sentences,
    surveyed,
    write_lines,
)
from tests.deploy.trial.report.test_report import Balanced

pytestmark = pytest.mark.slow

TOML = 'name = "desk"\nlabels = ["rates", "banks", "metals"]\n[teacher]\nmay_train = true\n[gate]\nclass_rows = 20\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one workload."""
    made = tmp_path_factory.mktemp("desk")
    (made / "workloads").mkdir()
    (made / "workloads" / "desk.toml").write_text(TOML)
    return made


def replay(folder: Path, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.cli", "replay", str(file), "--workload", "desk", *options]
    environment = {"MILLRACE_WORKLOADS_DIR": str(folder / "workloads"), "PYTHONPATH": str(Path.cwd()), "PATH": "/bin"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240, cwd=folder, env=environment
    )


@pytest.fixture(scope="module")
def log() -> list[tuple[str, str]]:
    """Texts of three classes; one answer in ten is drawn at random."""
    return sentences(1_200, 1)


@pytest.fixture(scope="module")
def done(folder: Path, log: list[tuple[str, str]]) -> subprocess.CompletedProcess[str]:
    """The report of a five-field log with two lines that are none, as the command makes it."""
    values = [
        five_fields(text, label, number, prompt_tokens=40, completion_tokens=2)
        for number, (text, label) in enumerate(log)
    ]
    file = write_lines(folder / "log.jsonl", values)
    file.write_text("nonsense\n" + file.read_text() + '"no object"\n')
    return replay(folder, file, "--report", "page.html", "--agreement", "0.8", "--price-per-1000", "2.5")


@pytest.fixture(scope="module")
def figures(folder: Path, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What is in the JSON beside the page."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "page.json").read_text())
    return found


def test_report__counts_what_cannot_be_read(figures: dict[str, Any]) -> None:
    """Rows that are no JSON do not end it: they are counted, and named by their line."""
    rows = figures["census"]["rows"]

    assert (rows["read"], rows["requests"], rows["unreadable"]) == (1_202, 1_200, {"unreadable": 2})
    assert sorted(one["row"] for one in rows["first_unreadable"]) == [1, 1_202]


def test_report__takeover_is_within_what_the_log_allows(figures: dict[str, Any]) -> None:
    """A tenth of the answers is random: agreement is near 0.93, and three figures follow from each other."""
    student, taken, saving = figures["student"], figures["takeover"], figures["saving"]

    assert 0.85 < student["agreement"]["value"] < 0.97
    assert taken["threshold"]["lower"] >= 0.8
    assert saving["calls"]["value"] == pytest.approx(1_200 * taken["coverage"]["value"] * 0.95)
    assert saving["money"]["value"] == pytest.approx(saving["calls"]["value"] * 2.5 / 1_000)
    assert saving["tokens"]["value"] == pytest.approx(saving["calls"]["value"] * 42, rel=0.01)


def test_report__every_share_has_its_rows_and_its_method(figures: dict[str, Any]) -> None:
    """Wherever the JSON has a figure with bounds from rows, n and method are beside it, and the bounds hold it."""
    seen = 0

    def walk(value: Any) -> None:
        nonlocal seen
        if isinstance(value, dict):
            if {"value", "low", "high", "n"} <= value.keys():
                seen += 1
                assert value["n"] > 0
                assert value["method"]
                assert value["low"] <= value["value"] <= value["high"]
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(figures)
    assert seen > 20


def test_report__page_is_whole_and_reaches_for_nothing(folder: Path, figures: dict[str, Any]) -> None:
    """The page is balanced HTML with three pictures, without scripts and without anything from elsewhere."""
    text = (folder / "page.html").read_text()
    parser = Balanced()
    parser.feed(text)

    assert parser.open == []
    assert text.count("<svg") == 3
    assert not any(word in text for word in ("<script", "<link", "<img", "@import", "src="))
    assert "What this does not say" in text
    assert f"{figures['student']['agreement']['value']:.1%}" in text


def test_report__terminal_says_the_same(done: subprocess.CompletedProcess[str], figures: dict[str, Any]) -> None:
    """The summary holds the share that could be taken over, with its interval, and where the files are."""
    share = figures["saving"]["share"]

    assert f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})" in done.stdout
    assert "page.html   page.json" in done.stdout


def test_report__of_a_csv_without_answers(folder: Path, log: list[tuple[str, str]]) -> None:
    """What needs no answers is shown under the file's name, and the page says how to record them."""
    file = folder / "bare.csv"
    file.write_text("text\n" + "".join(f"{text}\n" for text, _ in log[:50]))
    made = replay(folder, file, "--report")
    page = (folder / "bare.day-one.html").read_text()

    assert made.returncode == 0, made.stderr
    assert "no request has a recorded answer" in made.stdout
    assert "To record answers" in page
    assert "times: they are made up" in page
    assert "Duplicates" in page


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("empty.csv", b"", (), "has no row"),
        ("header.csv", b"text,label\n", (), "has no row"),
        ("columns.csv", b"a,b\n1,2\n", (), "no column looks like the text; name one of: a, b"),
        ("latin.csv", "text,label\nKöln,banks\n".encode("latin-1"), (), "is not UTF-8"),
        ("nonsense.jsonl", b"nonsense\n", (), "row 1 is no JSON"),
        ("bytes.jsonl", b'{"text": "K\xf6ln"}\n', (), "row 1 is not UTF-8"),
        ("fine.csv", b"text,label\nx,banks\n", ("--out", "there"), "--out"),
    ],
)  # fmt: skip
def test_report__of_a_broken_file(
    folder: Path, name: str, content: bytes, options: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake is reported in one line that says what and where, with exit code 2, before any program is started."""
    (folder / name).write_bytes(content)
    monkeypatch.setenv("MILLRACE_WORKLOADS_DIR", str(folder / "workloads"))
    made = CliRunner().invoke(
        main, ["replay", str(folder / name), "--workload", "desk", "--report", "bad.html", *options]
    )

    assert made.exit_code == 2
    assert [line for line in made.output.splitlines() if line.startswith("error: ") and said in line]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.csv.gz", gzip.compress(b"text,label\n" + b"word,banks\n" * 9_000)[:-20], "cannot be read"),
        ("blank.csv", b"text,label\n ,banks\n", "holds no request with a text: 1 rows cannot be used"),
    ],
)
def test_report__of_a_file_that_breaks_later(folder: Path, name: str, content: bytes, said: str) -> None:
    """A file whose mistake shows only while it is read leaves one line and no page that looks whole."""
    (folder / name).write_bytes(content)
    made = replay(folder, folder / name, "--report", "bad.html")

    assert made.returncode == 2
    assert [line for line in made.stderr.splitlines() if line.startswith("error: ") and said in line]
    assert "Traceback" not in made.stderr
    assert not (folder / "bad.html").exists()


def test_options_of_the_report__without_it(folder: Path) -> None:
    """What only a report has is refused without one, instead of being ignored."""
    made = CliRunner().invoke(main, ["replay", str(folder / "none.csv"), "--workload", "desk", "--agreement", "0.9"])

    assert (made.exit_code, "belongs to --report" in made.output) == (2, True)


ASKED = Asked("log.csv", NOW, made_up_times=True, wished=0.9, price_per_1000=None)


def figured(pairs: list[tuple[str, str]]) -> DayOne:
    return day_one(surveyed([record(text, label, n) for n, (text, label) in enumerate(pairs)]), WORKLOAD, ASKED)


def test_report__of_one_class(tmp_path: Path) -> None:
    """Answers that all say one label teach nothing: no student is judged, and the page says why."""
    found = figured([(text, "banks") for text, _ in sentences(200, 2)])
    write_page(found, WORKLOAD, tmp_path / "page.html")

    assert found.student is None
    assert "all say 'banks'; two labels at least" in (found.lacking or "")
    assert "two labels at least" in (tmp_path / "page.html").read_text()


def test_report__of_few_answers() -> None:
    """With too few test rows nothing is judged, and it says about how many answers would do."""
    found = figured(sentences(60, 3))

    assert found.takeover is None
    assert "20 of each are needed (gate.class_rows): about 200" in (found.lacking or "")


def test_report__of_answers_that_are_drawn_at_random() -> None:
    """Where nothing can be learnt, no request is taken over and nothing is said to be spared."""
    found = figured(sentences(900, 4, noise=1.0))

    assert found.takeover is not None
    assert found.takeover.threshold is None
    assert found.saving is None
    assert headline(found) == "No share of these requests can be shown to agree to 90%."


def test_student__figures_recomputed() -> None:
    """Agreement is the share of test rows with the recorded label; no cluster is on two sides."""
    log = [record(text, label, n) for n, (text, label) in enumerate(sentences(900, 5))]
    repeats = [record(one.text or "", one.answer, 900 + n) for n, one in enumerate(log[:300])]
    found = trial(teaching(surveyed([*log, *repeats]).requests), WORKLOAD)

    assert isinstance(found, Trial)
    assert found.figures.agreement.value == pytest.approx(np.mean(found.test.said == found.test.label))
    assert found.figures.agreement.n == len(found.test)
    assert not set(found.test.clusters) & set(found.choosing.clusters)
    assert {one.label for one in found.figures.classes} == set(LABELS)
    assert found.test.first.sum() == len(set(found.test.clusters))


BANKING = FOLDER / "banking77" / "data.csv.gz"


@pytest.mark.skipif(not BANKING.exists(), reason=f"no real text in {FOLDER}; MILLRACE_DATA names the folder")
def test_report__of_real_questions_in_the_five_field_form(tmp_path: Path) -> None:
    """Eight intents of banking77 as a five-field log: the linear student takes most over, and the page is whole."""
    pairs = read_pairs(BANKING)
    labels = sorted({label for _, label in pairs})[:8]
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "desk.toml").write_text(f'name = "desk"\nlabels = {json.dumps(labels)}\n')
    mine = [five_fields(text, label, n) for n, (text, label) in enumerate(pairs) if label in labels]
    write_lines(tmp_path / "log.jsonl", mine)
    made = replay(tmp_path, tmp_path / "log.jsonl", "--report", "real.html", "--agreement", "0.9")

    assert made.returncode == 0, made.stderr
    found = json.loads((tmp_path / "real.json").read_text())
    assert found["census"]["rows"]["requests"] == len(mine)
    assert found["student"]["agreement"]["value"] > 0.9
    assert found["saving"]["share"]["low"] > 0.8
    assert "harvest.models" in (tmp_path / "real.html").read_text()
