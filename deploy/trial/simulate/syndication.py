"""How a headline comes twice: sent again as it was, or syndicated with small changes; and when two are distinct.

A near duplicate keeps a Jaccard similarity over word 1- and 2-grams of at least `NEAR`, above the 0.7 at which the
stream joins a cluster; an original stays below `DISTINCT` to every earlier one, so no pair is in doubt.
"""

from __future__ import annotations

import random
import re
from itertools import pairwise
from typing import Final

from deploy.trial.simulate.grammar import join_prefix
from deploy.trial.simulate.lexicon import lexicon

NEAR: Final = 0.75
DISTINCT: Final = 0.6
_ATTEMPTS: Final = 40
_FILLERS: Final = ("now", "again", "today", "also", "reportedly", "finally", "still", "just", "abruptly", "quietly")


def grams(text: str) -> frozenset[str]:
    """Return the word 1- and 2-grams of a text, ignoring case."""
    words = text.casefold().split()
    return frozenset(words) | {f"{one} {two}" for one, two in pairwise(words)}


def similarity(one: str, two: str) -> float:
    """Return the Jaccard similarity of two texts: the lower of two readings, by white space and by word characters."""
    spaced = _jaccard(grams(one), grams(two))
    return min(spaced, _jaccard(grams(_words(one)), grams(_words(two))))


def duplicate(text: str, rng: random.Random) -> str:
    """Return the text as a sender repeats it: unchanged, or with other case or spacing."""
    return rng.choice((text, text, text, text.upper(), f" {text} ", text.replace(" ", "  ", 1)))


def near_duplicate(text: str, rng: random.Random) -> str | None:
    """Return the text as another outlet carries it, or None where it is too short to change and stay near."""
    for _ in range(_ATTEMPTS):
        changed = text
        for change in rng.sample((_reprefix, _truncate, _reword, _insert), rng.choice((1, 1, 2))):
            changed = change(changed, rng)
        if changed.casefold().split() != text.casefold().split() and similarity(text, changed) >= NEAR:
            return changed
    return None


class Distinct:
    """Remembers originals and refuses one that is too like an earlier one.

    Prefix filtering: two sets of similarity t share one of their rarest (1 - t) of grams, so only those are looked up.
    """

    def __init__(self) -> None:
        self._seen: dict[str, list[frozenset[str]]] = {}
        self._names = tuple(head.casefold() for head in lexicon(2).names["head"])

    def add(self, text: str) -> bool:
        """Remember the text and return True, or return False where an earlier one is too like it."""
        own = grams(text)
        ordered = sorted(own, key=lambda gram: (not gram.startswith(self._names), -len(gram), gram))  # rarest first
        rare = ordered[: len(ordered) - int(DISTINCT * len(ordered)) + 1]
        for gram in rare:
            if any(_jaccard(own, other) >= DISTINCT for other in self._seen.get(gram, ())):
                return False
        for gram in rare:
            self._seen.setdefault(gram, []).append(own)
        return True


def _jaccard(one: frozenset[str], two: frozenset[str]) -> float:
    return len(one & two) / len(one | two) if one or two else 1.0


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text))


def _reprefix(text: str, rng: random.Random) -> str:
    """Replace the headline's prefix by that of another outlet."""
    prefixes = lexicon(2).slots["prefix"]
    for known in prefixes:
        if text.startswith(known):
            text = text[len(known) :].lstrip()
            break
    return join_prefix(rng.choice(prefixes), text)


def _truncate(text: str, rng: random.Random) -> str:
    words = text.split()
    return " ".join(words[: -rng.choice((1, 2))]).rstrip(",;-")


def _reword(text: str, rng: random.Random) -> str:
    """Change one word near the end, where it does not decide the class."""
    words = text.split()
    place = rng.randrange(len(words) * 2 // 3, len(words))
    words[place] = rng.choice(_FILLERS)
    return " ".join(words)


def _insert(text: str, rng: random.Random) -> str:
    words = text.split()
    words.insert(rng.randrange(len(words) // 2, len(words)), rng.choice(_FILLERS))
    return " ".join(words)
