"""Which texts are not worth a label: named rules over a redacted, normalised text. Pure, but for the classifier's file.

The first rule that refuses a text gives its name, in this order (cheapest first):

    quality.length       too few or too many words or characters
    quality.symbols      mostly neither letters, digits, spaces nor common punctuation
    quality.repetition   the same three words again and again, or one character in a long run
    quality.boilerplate  mostly made of the workload's own phrases
    quality.deny         holds a denied word, phrase or expression
    quality.allow        holds none of the allowed ones, where there are any
    quality.language     surely in a language that is not among the workload's
    quality.classifier   scored below the threshold by the workload's own model

As a workload file has them by default, only clear garbage is refused: none of 52,822 real headlines and questions, and
1 of 7,954 longer texts, which says one phrase over and over (test_quality.py counts them).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from operator import eq
from typing import Final

from schemas.rules.normalise import normalise
from schemas.sections.intake import Quality, expression, is_expression
from streams.curate.classifier import QualityClassifier
from streams.curate.enrich import Enrichment

EMPTY: Final = "quality.empty"  # nothing is left of the text once it is normalised; decided by the stage
ELIGIBILITY: Final = "eligibility"  # only the teacher can answer the request; decided by the stage

Rule = Callable[[str, Enrichment], bool]  # whether it refuses the text

_COMMON: Final = ".,;:!?'\"()[]-/&%$+#@<>*_"
_ASCII_COMMON: Final = {ord(c): None for c in map(chr, range(128)) if c.isalnum() or c.isspace() or c in _COMMON}
_UNCOMMON: Final = re.compile(rf"[^\w\s{re.escape(_COMMON)}\u2010-\u2026\u3001-\u3011\uff01-\uff1f€£¥₹©®™°·«»¿¡§]")
_SEQUENCE: Final = 3  # words
_SEQUENCES: Final = 4  # a text with fewer is too short to repeat itself
_BOILERPLATE: Final = 0.5  # of the characters: below it there is more text than phrase


class QualityFilter:
    """The rules of one workload."""

    def __init__(self, quality: Quality, classifier: QualityClassifier | None = None) -> None:
        """Prepare the rules that the workload has.

        Args:
            quality: its table of the workload file.
            classifier: its model, where it names one.
        """
        self._classifier = classifier
        self._rules: list[tuple[str, Rule]] = [
            ("quality.length", _length(quality)),
            ("quality.symbols", _symbols(quality.symbols)),
            ("quality.repetition", _repetition(quality.repeated_words, quality.repeated_characters)),
        ]
        if quality.boilerplate:
            self._rules.append(("quality.boilerplate", _boilerplate(quality.boilerplate)))
        if quality.deny:
            self._rules.append(("quality.deny", _denied(quality.deny)))
        if quality.allow:
            self._rules.append(("quality.allow", _not_allowed(quality.allow)))
        if quality.languages:
            self._rules.append(("quality.language", _foreign(quality.languages)))

    def refusals(self, texts: Sequence[str], enrichments: Sequence[Enrichment]) -> list[str | None]:
        """Return for each text the name of the first rule that refuses it, or None; the classifier scores all at once.

        Args:
            texts: redacted and normalised.
            enrichments: of each, by enrich.py.
        """
        names = [self._refused(text, enrichment) for text, enrichment in zip(texts, enrichments, strict=True)]
        if self._classifier is not None:
            left = [number for number, name in enumerate(names) if name is None]
            for number, stays in zip(left, self._classifier.stays([texts[number] for number in left]), strict=True):
                names[number] = None if stays else "quality.classifier"
        return names

    def refusal(self, text: str, enrichment: Enrichment) -> str | None:
        """Return the name of the first rule that refuses a text, or None."""
        return self.refusals([text], [enrichment])[0]

    def _refused(self, text: str, enrichment: Enrichment) -> str | None:
        for name, refuses in self._rules:
            if refuses(text, enrichment):
                return name
        return None


def _length(quality: Quality) -> Rule:
    fewest, shortest = quality.least_words, quality.least_characters
    most, longest = quality.most_words or float("inf"), quality.most_characters or float("inf")

    def refuses(_: str, enrichment: Enrichment) -> bool:
        return not (fewest <= enrichment.words <= most and shortest <= enrichment.characters <= longest)

    return refuses


def _symbols(share: float) -> Rule:
    def refuses(text: str, _: Enrichment) -> bool:
        if text.isascii():
            return len(text.translate(_ASCII_COMMON)) > share * len(text)
        odd = [
            character for character in _UNCOMMON.findall(text) if not unicodedata.category(character).startswith("M")
        ]
        return len(odd) > share * len(text)  # marks belong to their letters: a third of Hindi is marks

    return refuses


def _repetition(share: float, run: int) -> Rule:
    long_run = re.compile(rf"(\S)\1{{{run - 1}}}")
    step = max(run // 2, 1)  # a run of that length holds two neighbours of every sample this far apart

    def refuses(text: str, _: Enrichment) -> bool:
        sample = text[::step]
        if any(map(eq, sample, sample[1:])) and long_run.search(text):
            return True
        words = text.casefold().split()
        sequences = len(words) - _SEQUENCE + 1
        if sequences < _SEQUENCES or len(words) - len(set(words)) <= share * sequences:
            return False  # a repeated sequence repeats its first word: too few repeated words to be worth a look
        return sequences - len(set(zip(words, words[1:], words[2:], strict=False))) > share * sequences

    return refuses


def _boilerplate(phrases: Sequence[str]) -> Rule:
    longest_first = sorted((normalise(phrase) for phrase in phrases), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def refuses(text: str, _: Enrichment) -> bool:
        return sum(len(found.group()) for found in pattern.finditer(text)) > _BOILERPLATE * len(text)

    return refuses


def _denied(entries: Sequence[str]) -> Rule:
    patterns = _patterns(entries)
    return lambda text, _: any(pattern.search(text) for pattern in patterns)


def _not_allowed(entries: Sequence[str]) -> Rule:
    patterns = _patterns(entries)
    return lambda text, _: not any(pattern.search(text) for pattern in patterns)


def _foreign(languages: Sequence[str]) -> Rule:
    wanted = frozenset(languages)
    return lambda _, enrichment: enrichment.language is not None and enrichment.language not in wanted


def _patterns(entries: Sequence[str]) -> list[re.Pattern[str]]:
    """Compile words together and each expression alone: joined, they would share groups and flags."""
    alone = [expression(entry) for entry in entries if is_expression(entry)]
    words = [expression(normalise(entry)) for entry in entries if not is_expression(entry)]
    if words:
        alone.insert(0, "|".join(words))
    return [re.compile(source, re.IGNORECASE) for source in alone]
