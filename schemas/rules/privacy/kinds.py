"""The kinds of personal data, and the placeholders that replace them.

A placeholder is `<EMAIL>`, or `<EMAIL:5f2c9a1b0d3e>` where a key links the mentions of one person or thing.
"""

from __future__ import annotations

import hmac
import re
from enum import StrEnum
from typing import Final, Self

TOKEN_DIGITS: Final = 12  # 48 bits: among a million people, 0.2 % chance that any two share a token


class Kind(StrEnum):
    """What a placeholder replaces, the most certain kind first: later rules do not see what earlier ones took.

    Names are found by a model at the edge, all others by the rules of the modules beside this one.
    """

    how: str  # it is found: the row on the page of privacy

    def __new__(cls, value: str, how: str = "") -> Self:
        """Make a kind of its name and of how it is found."""
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.how = how
        return kind

    SECRET = (
        "secret",
        "keys of known form, passwords in URLs, private keys, random strings behind a word such as `token`",
    )
    EMAIL = "email", "its form"
    IBAN = "iban", "country, structure and check digits"
    CARD = "card", "an issuer's prefix and length, and the check digit"
    SSN = "ssn", "US social security numbers"
    IP = "ip", "IPv4 and IPv6, distinguished from versions and section numbers"
    ACCOUNT = "account", "account numbers and bank codes, only behind a word that says so"
    PASSPORT = "passport", "identity documents, only behind a word that says so"
    PHONE = (
        "phone",
        "international and national forms with groups; one unbroken run of digits only behind a word such as `tel`",
    )
    NAME = "name", "names of persons, by a model; off by default"


RULED: Final = frozenset(Kind) - {Kind.NAME}
PLACEHOLDER: Final = re.compile(rf"<({'|'.join(kind.name for kind in Kind)})(?::[0-9a-f]{{{TOKEN_DIGITS}}})?>")


def placeholder(kind: Kind, canonical: str, key: bytes | None) -> str:
    """Return what replaces a value; with a key, equal values of a kind get equal tokens.

    Args:
        kind: what the value is.
        canonical: the value in one spelling.
        key: the deployment's; only with it can a value be matched with its token.
    """
    if key is None:
        return f"<{kind.name}>"
    token = hmac.digest(key, f"{kind.value}\x00{canonical}".encode(), "sha256").hex()[:TOKEN_DIGITS]
    return f"<{kind.name}:{token}>"
