"""The kinds of personal data, and the placeholders that stand in their place.

A placeholder is `<EMAIL>`, or `<EMAIL:5f2c9a1b0d3e>` where a key links the mentions of one person or thing.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

TOKEN_DIGITS: Final = 12  # 48 bits: among a million people, 0.2 % chance that any two share a token

Span = tuple[int, int]
Find = Callable[[str], Iterator[Span]]


class Kind(StrEnum):
    """What a placeholder stands for. Names are found by a model at the edge, all others by rules."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    SSN = "ssn"
    PASSPORT = "passport"  # and other identity documents
    ACCOUNT = "account"  # and the codes of banks that stand beside it
    SECRET = "secret"  # noqa: S105  # keys, tokens, passwords
    IP = "ip"
    NAME = "name"


RULED: Final = frozenset(Kind) - {Kind.NAME}
PLACEHOLDER: Final = re.compile(rf"<({'|'.join(kind.name for kind in Kind)})(?::[0-9a-f]{{{TOKEN_DIGITS}}})?>")


def placeholder(kind: Kind, canonical: str, key: bytes | None) -> str:
    """Return what stands in a value's place; with a key, equal values of a kind get equal tokens.

    Args:
        kind: what the value is.
        canonical: the value in one spelling.
        key: of the deployment; without it, nobody can tell which value a token stands for.
    """
    if key is None:
        return f"<{kind.name}>"
    token = hmac.digest(key, f"{kind.value}\x00{canonical}".encode(), "sha256").hex()[:TOKEN_DIGITS]
    return f"<{kind.name}:{token}>"


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
