"""Verbs in headlines: third person, plural, and the moods of a plan, a rumour or a denial. English, present tense."""

from __future__ import annotations

import random
from typing import Final

_IRREGULAR: Final = {"be": "is", "have": "has", "do": "does", "go": "goes"}
_SIBILANTS: Final = ("s", "sh", "ch", "x", "z", "o")

_SINGULAR: Final = {
    "future": ("to", "plans to", "is set to", "will", "prepares to", "aims to", "promises to", "is poised to"),
    "rumour": ("may", "could", "might", "is said to", "is rumoured to", "is weighing whether to", "is tipped to"),
    "negation": ("will not", "declines to", "has no plan to", "refuses to", "denies it will", "is yet to"),
    "fails": ("fails to", "does not", "is unlikely to", "refuses to"),
}
_PLURAL: Final = {
    "future": ("to", "are set to", "will", "prepare to"),
    "rumour": ("may", "could", "might", "are said to"),
    "negation": ("will not", "are yet to", "refuse to"),
    "fails": ("fail to", "do not", "are unlikely to"),
}


def inflect(verb: str, mood: str, plural: bool, rng: random.Random) -> str:
    """Return a verb phrase, given with its verb first and in the base form, as a headline of this mood has it."""
    if mood != "plain":
        return f"{rng.choice((_PLURAL if plural else _SINGULAR)[mood])} {verb}"
    first, space, rest = verb.partition(" ")
    if plural:
        return f"{'are' if first == 'be' else first}{space}{rest}"
    return f"{_third_person(first)}{space}{rest}"


def _third_person(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("y") and verb[-2:-1] not in tuple("aeiou"):
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(_SIBILANTS) else "s")
