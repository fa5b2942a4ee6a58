"""Where a text holds a secret: keys of known form, passwords in URLs, and random strings behind a word for one.

A secret without a known form, and without a word before it that says so, is not found.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

from schemas.rules.privacy.kinds import Kind
from schemas.rules.privacy.rule import Rule, found_by
from schemas.rules.privacy.signs import Sign

_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----"
    r"(?:(?:[A-Za-z0-9+/=\s:,\\]|-(?!-))*+-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----"
    r"|(?:(?:\s|\\n)*[A-Za-z0-9+/=]{16,})*+)"
)
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[A-Za-z0-9_-]{20,}"  # OpenAI and others
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}"  # Google
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"  # a JSON web token
    r"|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|hf_[A-Za-z0-9]{30,}|nvapi-[A-Za-z0-9_-]{40,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"  # SendGrid
    r")"
)
_BEARER = re.compile(r"\bbearer (?P<value>[A-Za-z0-9._~+/-]{16,}=*)", re.IGNORECASE)
_IN_URL = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{1,20}://(?P<value>[^\s/@:\x00]{0,128}:[^\s/@\x00]{1,256})@"
)

_KEY = (
    r"(?:secret[ _-]?)?(?:api|access|auth|secret|client|private|refresh|session|signing|encryption|master|id)"
    r"[ _-]?(?:key|token|secret)|token|secret"
)
_SAYS = r"(?:[ _-]?id)?[\"'`]?(?P<says> (?:is|was|here):?| ?(?:=>|:=|[:=]))? ?[\"'`]?"
_ANNOUNCED = re.compile(rf"(?<![A-Za-z])(?:{_KEY})s?\b{_SAYS}(?P<value>[A-Za-z0-9_\-+/=.~]{{12,}})", re.IGNORECASE)
_PASSWORD = re.compile(
    r"(?<![A-Za-z])(?:pass(?:word|wd|phrase|code)|pwd)\b[\"'`]?(?: (?:is|was):?| ?[:=]) ?[\"'`]?"
    r"(?P<value>[^\s\"'`<>\x00]{5,}[^\s\"'`<>\x00.,;:)\]])",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{10,}")
_ADDRESS = re.compile(r"https?:|www\.|[\w-]+\.[a-z]{2,}/|[^@]+@[^@]+\.[a-z]{2,}$", re.IGNORECASE)
_UNASSIGNED: Final = 16  # characters that a secret has at least where nothing like `=` or `is` comes before it
_BITS: Final = 3.0  # per character at least: hexadecimal digits drawn at random have 3.4-4, words repeat themselves


def _is_random(match: re.Match[str]) -> bool:
    value = match["value"]
    least = 0 if match["says"] else _UNASSIGNED
    return (
        len(value) >= least
        and not _ADDRESS.match(value)
        and _RANDOM.search(value) is not None
        and _bits(value) >= _BITS
    )


def _bits(value: str) -> float:
    """Return the entropy per character, in bits."""
    return sum(n / len(value) * math.log2(len(value) / n) for n in Counter(value).values())


def _is_password(match: re.Match[str]) -> bool:
    """Require a figure or a sign: plain words also come behind `password:`."""
    value = match["value"]
    mixed = re.search(r"[\d!@#$%^&*?~]", value) and (re.search(r"[A-Za-z]", value) or value.isdecimal())
    return bool(mixed) and not _ADDRESS.match(value)


def _has_digit(match: re.Match[str]) -> bool:
    return any(character.isdecimal() for character in match["value"])


RULES: Final = (
    Rule(Kind.SECRET, frozenset({Sign.AT}), found_by(_IN_URL)),
    *(
        Rule(Kind.SECRET, frozenset({Sign.SECRET}), find)
        for find in (
            found_by(_PEM),
            found_by(_KNOWN),
            found_by(_BEARER, _has_digit),
            found_by(_ANNOUNCED, _is_random),
            found_by(_PASSWORD, _is_password),
        )
    ),
)
