"""The quality rules: what each refuses, what none may refuse, and that defaults keep real text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import WorkloadError
from schemas.rules.ngrams import NgramForm
from schemas.rules.normalise import normalise
from schemas.sections.intake import Quality
from schemas.workload import Workload
from streams.curate.classifier import QualityClassifier
from streams.curate.enrich import enrich
from streams.curate.quality import QualityFilter
from tests.streams.curate.labelled_text import real_texts

HEADLINE = "Apple (NASDAQ: AAPL) lifts its dividend by 4% to $0.26"


def refusal(text: str, language: str | None = None, **rules: Any) -> str | None:
    return QualityFilter(Quality(**rules)).refusal(text, enrich(text, language))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (HEADLINE, None),
        ("$SPY $SPX up 45% 🚨🔥🔥", None),
        ("Q3 EPS $1.12 vs. $1.05 est.", None),
        ("Oil slips", None),
        ("भारतीय रिज़र्व बैंक ने ब्याज दर नहीं बदली", None),
        ("日本銀行は金利を据え置いた", None),
        ("<EMAIL> <PHONE> call me", None),
        ("5", "quality.length"),
        ("?!?!?! ... !!!", "quality.length"),
        ("🚀🚀🚀🚀🚀🚀 up", "quality.symbols"),
        ("\ufffd\ufffd\ufffd\ufffd\ufffd\ufffda\ufffd\ufffd", "quality.symbols"),
        ("~~^^~~^^{{{}}} x ~~~", "quality.symbols"),
        ("buy now buy now buy now buy now buy now", "quality.repetition"),
        (f"{'a' * 40} headline", "quality.repetition"),
        (f"Apple {'-' * 45} rises today", "quality.repetition"),
    ],
)
def test_defaults__refuse_clear_garbage_only(text: str, rule: str | None) -> None:
    """Short, many-signed and non-Latin headlines stay; what says nothing goes, by the rule that says why."""
    assert refusal(normalise(text)) == rule


@pytest.mark.parametrize(
    ("rules", "text", "rule"),
    [
        ({"symbols": 0.1}, "भारतीय रिज़र्व बैंक ने ब्याज दर नहीं बदली", None),
        ({"symbols": 0.1}, "Oil slips 🛢🛢🛢", "quality.symbols"),
        ({"least_words": 3}, "Oil slips", "quality.length"),
        ({"most_words": 2}, "Oil slips again", "quality.length"),
        ({"least_characters": 20}, "Oil slips again", "quality.length"),
        ({"most_characters": 10}, "Oil slips again", "quality.length"),
        ({"most_characters": 15}, "Oil slips again", None),
        ({"boilerplate": ["All rights reserved"]}, "ALL RIGHTS RESERVED. 2026", "quality.boilerplate"),
        ({"boilerplate": ["All rights reserved"]}, f"{HEADLINE}. All rights reserved", None),
        ({"boilerplate": ["click here", "click"]}, "click here, click here", "quality.boilerplate"),
        ({"deny": ["giveaway", "sign up"]}, "Free GIVEAWAY of $TSLA", "quality.deny"),
        ({"deny": ["giveaway"]}, "Giveaways end", None),
        ({"deny": ["$TSLA"]}, "sell $TSLA", "quality.deny"),
        ({"deny": [r"/t\.me/\w+/"]}, "join t.me/pumps", "quality.deny"),
        ({"deny": ["/(?-i:PUMP)/"]}, "pump stocks", None),
        ({"deny": ["/(a)/", r"/(.)\1\1\1/"]}, "bbbb", "quality.deny"),
        ({"allow": ["dividend", "/profits?/"]}, HEADLINE, None),
        ({"allow": ["dividend", "/profits?/"]}, "Oil slips", "quality.allow"),
        ({"deny": ["oil"], "allow": ["gas"]}, "Oil slips", "quality.deny"),
    ],
)
def test_rule__of_a_workload(rules: dict[str, Any], text: str, rule: str | None) -> None:
    """Each key refuses what it says and no more; of several rules the first gives its name."""
    assert refusal(text, **rules) == rule


def test_language__that_is_not_sure__refuses_nothing() -> None:
    """A text surely in another language goes; where the detector is not sure, it stays."""
    found = [refusal("Siemens hebt Prognose an", language, languages=["en", "fr"]) for language in ("de", "fr", None)]

    assert found == ["quality.language", None, None]


def test_classifier__judges_what_the_rules_left(tmp_path) -> None:
    """The model sees no text that a rule refused, all others at once, and refuses below its threshold."""
    seen: list[list[str]] = []

    class Watched(QualityClassifier):
        def scores(self, texts):
            seen.append(list(texts))
            return np.array([0.2, 0.9])

    model = Watched(NgramForm(1, 2, 8), np.zeros(256, dtype=np.float32), 0.0, 0.5)
    texts = ["Oil slips", "?!", HEADLINE]
    found = QualityFilter(Quality(), model).refusals(texts, [enrich(text) for text in texts])

    assert found == ["quality.classifier", "quality.length", None]
    assert seen == [["Oil slips", HEADLINE]]


@given(
    st.lists(st.sampled_from(["buy", "now", "Apple", "oil", "a", "e" * 24, "e" * 25, "xx" + "e" * 24]), max_size=30),
    st.integers(2, 30),
)
def test_repetition__is_what_its_definition_says(words: list[str], run: int) -> None:
    """The quick looks ahead of the rule change no decision."""
    text = " ".join(["start", *words])
    pieces = text.casefold().split()
    sequences = list(zip(pieces, pieces[1:], pieces[2:], strict=False))
    again = len(sequences) - len(set(sequences))
    expected = (len(sequences) >= 4 and again > 0.6 * len(sequences)) or any(c * run in text for c in set(text) - {" "})

    assert (refusal(text, repeated_characters=run) == "quality.repetition") == expected


@given(st.text(max_size=60))
def test_any_text__has_a_verdict(text: str) -> None:
    """Whatever comes, a rule refuses it or none does; twice the same."""
    text = normalise(text)

    assert refusal(text) == refusal(text)


@pytest.mark.parametrize(
    ("line", "key", "says"),
    [
        ('deny = ["/[/"]', "quality.deny", "/[/ is no regular expression"),
        ('allow = ["/(?P<x>a)(?P<x>b)/"]', "quality.allow", "is no regular expression"),
        ('deny = [""]', "quality.deny", "empty entry"),
        ('boilerplate = [" "]', "quality.boilerplate", "empty entry"),
        ('languages = ["english"]', "quality.languages", "choose from ar, cs"),
        ("least_words = 5\nmost_words = 2", "quality", "least_words = 5 is above most_words = 2"),
        ("classifier_threshold = 0.5", "quality", "needs a classifier"),
        ("symbols = 1.5", "quality.symbols", "less than or equal to 1"),
    ],
)
def test_mistake__in_the_workload_file(line: str, key: str, says: str) -> None:
    """A mistake is reported when the file is read, with its key: never by the first record that meets it."""
    with pytest.raises(WorkloadError) as caught:
        Workload.parse(f'name = "news"\nlabels = ["a", "b"]\n[quality]\n{line}\n'.encode(), "news.toml")

    assert caught.value.field == f"news.toml: {key}"
    assert says in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("banking77", "text"),
        ("twitter-financial-news-topic", "text"),
        ("twitter-financial-news-sentiment", "text"),
        ("sentfin-headlines", "text"),
        ("reuters21578-topics", "title"),
        ("reuters21578-topics", "body"),
        ("cfpb-llm-teachers", "text"),
    ],
)
def test_defaults__keep_real_text(name: str, column: str) -> None:
    """Of headlines, questions and articles, fewer than one in a thousand is refused; of short ones none."""
    texts = real_texts(name, column)
    enrichments = [enrich(text) for text in texts]
    refused = [rule for rule in QualityFilter(Quality()).refusals(texts, enrichments) if rule]
    print(f"{name} {column}: {len(refused)} of {len(texts)} refused {sorted(set(refused))}")

    assert len(refused) <= (1 if name == "cfpb-llm-teachers" else 0)
