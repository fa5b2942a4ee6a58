"""`python -m benchmarks.quality`: what the quality rules refuse, how often the language is right, what both cost.

Refusals are of the default rules, over real text. The language is found on headlines of our own in eight languages
(`right` of those named) and on sets that are in English but for a few lines (`other`: named another language; --show
prints those, to be read). Intervals are Clopper-Pearson, 95 %. Microseconds are CPU time, the median of five rounds.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Final

import numpy as np
from scipy.stats import beta

from benchmarks.headlines import HEADLINES
from benchmarks.real_text import FOLDER, real_texts
from schemas.rules.ngrams import NgramForm
from schemas.sections.intake import Quality
from streams.curate.classifier import QualityClassifier
from streams.curate.enrich import enrich_all
from streams.curate.language import languages_of
from streams.curate.quality import QualityFilter

SETS: Final = (
    ("banking77", "text"),
    ("twitter-financial-news-topic", "text"),
    ("twitter-financial-news-sentiment", "text"),
    ("sentfin-headlines", "text"),
    ("reuters21578-topics", "title"),
    ("reuters21578-topics", "body"),
    ("cfpb-llm-teachers", "text"),
)
SHORT: Final = 5  # of them the first; the others hold articles and letters
FORM: Final = NgramForm(2, 5, 18)


def interval(hits: int, of: int) -> str:
    low = beta.ppf(0.025, hits, of - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, of - hits) if hits < of else 1.0
    return f"{hits} of {of}, {hits / of:.3%} ({low:.3%} to {high:.3%})"


def microseconds(work: Callable[[], object], texts: int) -> float:
    took = []
    for _ in range(5):
        begun = time.process_time()
        work()
        took.append((time.process_time() - begun) / texts * 1e6)
    return median(took)


def rules() -> None:
    model = QualityClassifier(FORM, np.zeros(2**FORM.bits, dtype=np.float32), 1.0, 0.5)
    plain, scored = QualityFilter(Quality()), QualityFilter(Quality(), model)
    print("microseconds per text: enrichment, default rules, and a classifier of character 2-5 grams besides")
    short = refused_short = 0
    for number, (name, column) in enumerate(SETS):
        texts = real_texts(name, column)
        facts = enrich_all(texts)
        refused = [rule for rule in plain.refusals(texts, facts) if rule]
        costs = [
            microseconds(lambda texts=texts: enrich_all(texts), len(texts)),  # type: ignore[misc]
            microseconds(lambda texts=texts, facts=facts: plain.refusals(texts, facts), len(texts)),  # type: ignore[misc]
        ]
        some = slice(0, 2_000)
        both = microseconds(lambda t=texts[some], d=facts[some]: scored.refusals(t, d), len(texts[some]))  # type: ignore[misc]
        length = sum(map(len, texts)) / len(texts)
        print(
            f"  {name} {column}: {length:.0f} characters, {costs[0]:.1f} {costs[1]:.1f} {both - costs[1]:.1f} us; "
            f"refused {len(refused)} of {len(texts)} {dict(Counter(refused))}"
        )
        if number < SHORT:
            short, refused_short = short + len(texts), refused_short + len(refused)
    print(f"refused of all short texts: {interval(refused_short, short)}\n")


def languages(show: bool) -> None:
    named = right = every = 0
    for language, block in HEADLINES.items():
        texts = block.strip().split("\n")
        found = languages_of(texts)
        every += len(texts)
        named += sum(one is not None for one in found)
        right += found.count(language)
    print(f"language of our own headlines: named {interval(named, every)}; right of those {interval(right, named)}")
    count = english = other = 0
    for name, column in SETS[:SHORT]:
        texts = real_texts(name, column)
        found = languages_of(texts)
        foreign = [(one, text) for one, text in zip(found, texts, strict=True) if one not in ("en", None)]
        count += len(texts)
        english += found.count("en")
        other += len(foreign)
        some = texts[:2_000]
        cost = microseconds(lambda some=some: languages_of(some), len(some))  # type: ignore[misc]
        print(f"  {name} {column}: {cost:.1f} us; English {found.count('en')}, other {len(foreign)} of {len(texts)}")
        for one, text in foreign if show else ():
            print(f"    {one} {text[:100]}")
    print(f"named English {interval(english, count)}; another language {interval(other, count)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the texts that are named another language")
    arguments = parser.parse_args()
    if not real_texts(*SETS[0]):
        raise SystemExit(f"no real text in {FOLDER}; MILLRACE_DATA names the folder that holds it")
    rules()
    languages(arguments.show)


if __name__ == "__main__":
    main()
