"""Headlines of fictional companies, written by a seeded grammar. The event named first decides the class.

What makes them hard: a second event of another class follows in the same grammatical form, so that only the order of
the clauses shows which one counts; epithets, tails and quotations borrow other classes' words; verbs such as lift and
cut serve many classes; each phrase has many synonyms, with a long tail.
It knows nothing of records, duplicates, personal data or poison.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from deploy.trial.simulate.inflection import inflect
from deploy.trial.simulate.lexicon import Event, Lexicon, lexicon

LEAST_WORDS: Final = 8
MOST_WORDS: Final = 25
TAIL_WEIGHT: Final = 1.35  # above 1 a list's first phrases are likelier, and its last ones rare
SECOND_EVENT: Final = 0.45  # share of headlines with a second event
EPITHET: Final = 0.30
TAIL: Final = 0.30
LEAD_IN: Final = 0.08
PREFIX: Final = 0.25

_SLOT: Final = re.compile(r"\{(\w+)\}")
_VERB: Final = re.compile(r"<(\+?)([^>]+)>")


@dataclass
class _Cast:
    """Who appears in one headline."""

    company: str
    rival: str


class Writer:
    """Writes headlines of one phase; companies of two phases never share a name."""

    def __init__(self, rng: random.Random, phase: int) -> None:
        self._rng = rng
        self._phase = phase
        self._words: Lexicon = lexicon(phase)
        self._labels = tuple(self._words.events)
        self._makers: dict[str, Callable[[], str]] = {
            "MONEY": self._money,
            "PCT": self._percent,
            "QTR": self._quarter,
            "PRICE": self._price,
            "CENTS": lambda: f"{rng.randint(3, 98)} cents",
            "YEAR": lambda: str(rng.randint(2025, 2028)),
            "N": lambda: str(rng.choice((rng.randint(4, 90), rng.randint(100, 990), 100 * rng.randint(10, 90)))),
            "DAY": lambda: rng.choice(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")),
            "MONTH": lambda: rng.choice(("January", "March", "April", "June", "July", "September", "November")),
            "BROKER": lambda: self._name("broker"),
            "AGENCY": lambda: self._name("agency"),
            "REGULATOR": lambda: rng.choice(self._words.names["regulator"]),
            "UNION": lambda: rng.choice(self._words.names["union"]),
            "CITY": lambda: rng.choice(self._words.names["city"]),
        }

    def headline(self, label: str) -> str:
        """Return a headline whose leading event is of the class."""
        while True:
            text = self._attempt(label)
            if LEAST_WORDS <= len(text.split()) <= MOST_WORDS:
                return text

    def _attempt(self, label: str) -> str:
        rng = self._rng
        cast = _Cast(self._name("form"), self._name("form"))
        subject = f"{self._shared('epithet')} {cast.company}" if rng.random() < EPITHET else cast.company
        text = self._clause(self._words.events[label], _Cast(subject, cast.rival), free=True)
        if rng.random() < SECOND_EVENT:
            text += self._second(label, cast)
        if rng.random() < TAIL:
            text += f" {self._shared('tail')}"
        if rng.random() < LEAD_IN:
            text = f"{self._shared('lead_in')} {text}"
        if rng.random() < PREFIX:
            text = join_prefix(self._shared("prefix"), text)
        return text[0].upper() + text[1:]

    def _second(self, label: str, cast: _Cast) -> str:
        """Return a second event of another class, uniformly chosen: rare classes often come second."""
        other = self._rng.choice([known for known in self._labels if known != label])
        who = self._rng.choice((cast.company, cast.rival, self._name("form")))
        clause = self._clause(self._words.events[other], _Cast(who, self._name("form")), free=False)
        joint = self._rng.choice(self._words.slots["joint"])
        if joint != " ":
            return f"{joint}{clause}"
        return f" {self._shared('after')} {clause}"

    def _clause(self, event: Event, cast: _Cast, *, free: bool) -> str:
        mood = self._rng.choice(event.moods) if free or self._rng.random() < 0.3 else "plain"
        frames = event.frames if free else tuple(frame for frame in event.frames if ":" not in frame)
        filled = self._fill(self._rng.choice(frames), event, cast)

        def verb(match: re.Match[str]) -> str:
            return inflect(match[2], mood, bool(match[1]), self._rng)

        text = _VERB.sub(verb, filled)
        if free and mood == "rumour" and self._rng.random() < 0.5:
            return f"{text}, {self._shared('said')}"
        return text

    def _fill(self, frame: str, event: Event, cast: _Cast) -> str:
        def word(match: re.Match[str]) -> str:
            slot = match[1]
            if slot == "COMPANY":
                return cast.company
            if slot == "RIVAL":
                return cast.rival
            if slot in self._makers:
                return self._makers[slot]()
            phrases = event.slots.get(slot) or self._words.slots[slot]
            return self._fill(self._pick(phrases), event, cast)

        return _SLOT.sub(word, frame)

    def _shared(self, slot: str) -> str:
        return self._pick(self._words.slots[slot])

    def _pick(self, phrases: tuple[str, ...]) -> str:
        return phrases[int(len(phrases) * self._rng.random() ** TAIL_WEIGHT)]

    def _name(self, kind: str) -> str:
        names, rng = self._words.names, self._rng
        heads = names["head"][self._phase % 2 :: 2]  # half of the names for each phase
        return rng.choice(heads) + rng.choice(names["middle"]) + rng.choice(names["end"]) + rng.choice(names[kind])

    def _money(self) -> str:
        unit = self._rng.choice(("mln", "bln", "million", "billion", "m", "bn"))
        joint = "" if len(unit) <= 2 else " "
        return f"{self._rng.choice(('$', '$', '€', '£'))}{self._rng.randint(11, 989) / 10:g}{joint}{unit}"

    def _percent(self) -> str:
        share = self._rng.randint(11, 398) / 10
        return f"{share:g}{self._rng.choice(('%', ' pct', ' percent'))}"

    def _quarter(self) -> str:
        quarters = ("Q1", "Q2", "Q3", "Q4", "first-quarter", "second-quarter", "third-quarter", "fourth-quarter")
        return self._rng.choice((*quarters, "half-year", "full-year", "annual"))

    def _price(self) -> str:
        return f"${self._rng.randint(6, 420)}"


def join_prefix(prefix: str, text: str) -> str:
    """Return the text behind a source's prefix: `UPDATE 1-` clings to it, `Newsdesk:` does not."""
    return f"{prefix}{text}" if prefix[-1] == "-" and " -" not in prefix else f"{prefix} {text}"
