"""What a rule is: the kind it finds, the signs that call for it, the search, and one spelling of what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from schemas.rules.privacy.kinds import Kind
from schemas.rules.privacy.signs import Sign

Span = tuple[int, int]
Find = Callable[[str], Iterator[Span]]


class Rule(NamedTuple):
    """How values of one kind are found; a kind may have several rules, tried in the order of their module."""

    kind: Kind
    signs: frozenset[Sign]  # a text that carries none of them is not searched
    find: Find
    canonical: Callable[[str], str] = str  # the value in one spelling: equal values get equal tokens


def found_by(pattern: re.Pattern[str], accept: Callable[[re.Match[str]], bool] = bool) -> Find:
    """Return a search for a pattern: its group `value` where it has one, else the whole match.

    Args:
        pattern: linear in the text.
        accept: has the last word on a match.
    """
    group = "value" if "value" in pattern.groupindex else 0

    def find(text: str) -> Iterator[Span]:
        return (match.span(group) for match in pattern.finditer(text) if accept(match))

    return find
