"""Which texts may hold personal data at all: cheap signs that a rule asks for, sought in a whole batch at once.

Most headlines carry none. A sign is sought in the batch joined to one string, where a search costs 20-600 ns per text;
text by text, the calls alone would cost more than that.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from itertools import accumulate
from typing import Final

_SEPARATOR: Final = "\n"  # no normalised text holds it, and no sign reaches over it


class Sign(Enum):
    """What a text must carry before a rule looks at it."""

    AT = auto()  # an address, a password in a URL
    DIGITS = auto()  # a phone number, a card, an IBAN, an account
    DOTS = auto()  # an IPv4 address
    COLONS = auto()  # an IPv6 address
    SECRET = auto()  # the form of a key, or a word for one
    DOCUMENT = auto()  # a passport's number may have letters between its digits


# Six digits close together, with what surrounds them, or the head of an IBAN, which may hold more letters. Most
# volumes and prices carry no sign, since a thousands separator splits digits. Possessive and unrolled: a third of the
# cost. [0-9] costs half of \d, which knows the digits of all scripts.
_IBAN = r"(?<=[A-Za-z]{2}[0-9])(?<![A-Za-z0-9][A-Za-z]{2}[0-9])[0-9](?:[ -]?[A-Za-z0-9]){11}"
_SIX = r"[ ().\-/]{0,3}+[0-9]" * 5 + r"(?:[0-9().\-/]| (?=[0-9]))*+"
_ASCII_DIGITS = re.compile(rf"[0-9](?<![0-9][0-9])(?:{_SIX}|{_IBAN})")
_SIX_ANY = r"[ ().\-/\u2010-\u2013]{0,3}+\d" * 5 + r"(?:[\d().\-/]| (?=\d))*+"
_DIGITS = re.compile(rf"\d(?<!\d\d)(?:{_SIX_ANY}|{_IBAN})")
_PLAIN = re.compile(  # a date, a span of years, a price range: the commonest figures of that shape, and never personal
    r"\(?(?:(?:19|20)[0-9]{2}[-/.][01][0-9][-/.][0-3][0-9]|(?:19|20)[0-9]{2}[-/](?:20)?[0-9]{2}|[0-9]{3}-[0-9]{3})[).]*"
)
_DOTS = re.compile(r"\.\d{1,3}\.\d{1,3}\.\d")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_AT = re.compile(r"(?<=\S)@[^\W_]")

# A literal to jump to, and what must follow it (or, of an underscore, what must come before it too).
_FORM = re.compile(r"[A-Za-z0-9_.\-]{9}")
_FORMS: Final = ("glpat-", "nvapi-", "pypi-", "xox", "AKIA", "ASIA", "AIza", "ya29.", "eyJ", "SG.")
_UNDERSCORE = re.compile(r"(?:(?<=gh[opsur])|(?<=hub_pat)|(?<=k_live)|(?<=k_test)|(?<=hf)|(?<=npm))_[A-Za-z0-9]{16}")
_PEM = re.compile(r"[A-Z0-9 ]{0,40}PRIVATE KEY")
_RUN = re.compile(r"s?[^a-z0-9\n]{0,3}(?:id|is|was|here)?[^a-z0-9\n]{0,4}[a-z0-9_\-+/=.~]{12}")
_RUNS: Final = ("key", "token", "secret", "bearer", "sk-")
_SAID = re.compile(r"(?:word|wd|phrase|code)?[\"'`]? ?(?:is|was|[:=])")
_SAYING: Final = ("pass", "pwd")
_DOCUMENTS: Final = ("passport",)

_Seek = Callable[[str, str], list[int]]  # in a text, and the same in small letters


def _places(text: str, literals: Iterable[str], then: re.Pattern[str] | None = None) -> list[int]:
    """Return where a literal is, with a match of `then` right behind it."""
    places = []
    for literal in literals:
        at = text.find(literal)
        while at >= 0:
            if then is None or then.match(text, at + len(literal)):
                places.append(at)
            at = text.find(literal, at + 1)
    return places


def _starts(pattern: re.Pattern[str]) -> _Seek:
    def seek(text: str, lower: str) -> list[int]:
        del lower
        return [match.start() for match in pattern.finditer(text)]

    return seek


def _ats(text: str, lower: str) -> list[int]:
    del lower
    return [at for at in _places(text, ("@",)) if _AT.match(text, at)]


def _digits(text: str, lower: str) -> list[int]:
    del lower
    found = (_ASCII_DIGITS if text.isascii() else _DIGITS).finditer(text)
    return [match.start() for match in found if not _PLAIN.fullmatch(match[0])]


def _secrets(text: str, lower: str) -> list[int]:
    return [
        *_places(text, _FORMS, _FORM),
        *(at for at in _places(text, ("_",)) if _UNDERSCORE.match(text, at)),
        *_places(text, ("-----BEGIN",), _PEM),
        *_places(lower, _RUNS, _RUN),
        *_places(lower, _SAYING, _SAID),
    ]


def _documents(text: str, lower: str) -> list[int]:
    del text
    return _places(lower, _DOCUMENTS)


_SEEKS: Final[dict[Sign, _Seek]] = {
    Sign.AT: _ats,
    Sign.DIGITS: _digits,
    Sign.DOTS: _starts(_DOTS),
    Sign.COLONS: _starts(_COLONS),
    Sign.SECRET: _secrets,
    Sign.DOCUMENT: _documents,
}


def signs(text: str) -> set[Sign]:
    """Return the signs that a text carries."""
    lower = text.lower()
    return {sign for sign, seek in _SEEKS.items() if seek(text, lower)}


def suspects(texts: Sequence[str]) -> set[int]:
    """Return the places of the normalised texts that carry a sign, as `signs` would find them in each alone."""
    ascii_places = [place for place, text in enumerate(texts) if text.isascii()]
    if len(ascii_places) == len(texts):
        return _suspects(texts)
    # One text of the others makes a join slow to search.
    others = [place for place, text in enumerate(texts) if not text.isascii()]
    return {group[found] for group in (ascii_places, others) for found in _suspects([texts[place] for place in group])}


def _suspects(texts: Sequence[str]) -> set[int]:
    joined = _SEPARATOR.join(texts)
    lower = joined.lower()
    if len(lower) != len(joined):  # a few letters of other scripts grow when made small: places would shift
        return {place for place, text in enumerate(texts) if signs(text)}
    found = [at for seek in _SEEKS.values() for at in seek(joined, lower)]
    ends = list(accumulate(len(text) + len(_SEPARATOR) for text in texts)) if found else []
    return {bisect_right(ends, at) for at in found}
