"""Personal data out of a text: e-mail addresses, phone numbers, payment cards, IBANs and US social security numbers.

Each becomes a typed placeholder, so that a text keeps its shape. Patterns are linear in the text, and a text without
`@` and without a run of digits costs one search. Check digits decide about cards and IBANs, so order numbers, prices,
volumes and dates stay. It does not look for names, addresses or secrets.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from stdnum import iban, luhn

from schemas.rules.normalise import normalise

EMAIL: Final = "<EMAIL>"
PHONE: Final = "<PHONE>"
CARD: Final = "<CARD>"
IBAN: Final = "<IBAN>"
SSN: Final = "<SSN>"

_MAYBE = re.compile(r"@|\d(?:[^\d@]{0,3}\d){6}")  # an address, or the shortest phone number

_EMAIL = re.compile(r"(?<![\w.%+'-])[\w.%+'-]++@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_][\w-]{1,62}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_DIGITS = re.compile(r"\d(?:[ .\-]?\d){11,}")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([-\u2010-\u2013])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_TOLD_SSN = re.compile(
    r"(\b(?:ssn|social security)\b[^\d]{0,16})((?!000|666|9)\d{3}[ .]?(?!00)\d{2}[ .]?(?!0000)\d{4})(?!\d)",
    re.IGNORECASE,
)

_GAP = r"[ ().\-/\u2010-\u2013]{0,3}"
_INTERNATIONAL = re.compile(rf"(?<![\w+])\+ ?\(?[1-9](?:{_GAP}\d){{7,14}}(?!\d)")
_INTERNATIONAL_00 = re.compile(r"(?<![\w.,$€£+\-])00[1-9]\d{0,2}(?:[ ().\-/]{1,3}\d{2,9}){2,6}(?![\w])")
_NORTH_AMERICA = re.compile(
    r"(?<![\w.,$€£+\-/])(?:1[ .\-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .\-])[2-9]\d{2}[ .\-]\d{4}(?!\w|[.,\-/%]\d|%)"
)
_NATIONAL = re.compile(r"(?<![\w.,$€£+\-/])\(?0[1-9]\d{0,4}\)?(?:[ .\-/]{1,2}\d{2,8}){1,5}(?!\w|[.,\-/%]\d|%)")
_TOLD = re.compile(
    r"(\b(?:tel|telephone|phone|ph|mobile|cell|fax|whatsapp|hotline|dial|call|text|ring|reach)\b[.:]?"
    r"(?: (?:no|number|us|me|him|her|them|on|at|is)\b[.:]?){0,2} ?#? ?)"
    r"(\(?\d(?:[ ().\-/]{0,3}\d){6,14})(?!\d|[.,]\d|%)",
    re.IGNORECASE,
)

_DATE = re.compile(r"(?<!\d)(?:(?:19|20)\d\d[-./ ]\d\d?[-./ ]\d\d?|\d\d?[-./]\d\d?[-./](?:19|20)?\d\d)(?!\d)")
_YEARS = re.compile(r"(?:(?:19|20)\d\d[ \-/]?)+")

_ISSUERS: Final[tuple[tuple[re.Pattern[str], frozenset[int]], ...]] = (
    (re.compile(r"4"), frozenset({13, 16, 19})),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset({16})),  # Mastercard
    (re.compile(r"3[47]"), frozenset({15})),  # American Express
    (re.compile(r"6011|64[4-9]|65"), frozenset({16, 17, 18, 19})),  # Discover
    (re.compile(r"30[0-5]|3[689]"), frozenset({14, 16, 17, 18, 19})),  # Diners Club
    (re.compile(r"35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),  # JCB
    (re.compile(r"62"), frozenset({16, 17, 18, 19})),  # UnionPay
    (re.compile(r"50(?:18|20|38)|5893|6304|67(?:59|6[1-3])"), frozenset(range(12, 20))),  # Maestro
)
_CARD_LENGTHS: Final = range(19, 11, -1)
_PASSES: Final = 4  # a replacement can part digits that then read as something else; a second look settles it


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without personal data, and how many placeholders of each type stand in it now."""

    text: str
    counts: dict[str, int]


def redact(text: str) -> Redacted:
    """Put placeholders in the place of personal data.

    Judged is what the text reads as once normalised, so that wide or hidden characters hide nothing; a text that holds
    nothing to hide comes back as it was, any other one comes back normalised.
    """
    if text.isascii() and not _MAYBE.search(text):
        return Redacted(text, {})
    plain = normalise(text)
    if not _MAYBE.search(plain):
        return Redacted(text, {})
    found: Counter[str] = Counter()
    for _ in range(_PASSES):
        before = found.total()
        plain = _once(plain, found)
        if found.total() == before:
            break
    return Redacted(plain, dict(found)) if found else Redacted(text, {})


def _once(text: str, found: Counter[str]) -> str:
    """Run every pattern over the text once, the most certain first."""

    def put(placeholder: str) -> Callable[[re.Match[str]], str]:
        def replacement(match: re.Match[str]) -> str:
            told = match.group(1) if match.re in (_TOLD_SSN, _TOLD) else ""
            if placeholder == PHONE and not _is_phone(match.group()[len(told) :], told=bool(told)):
                return match.group()
            found[placeholder.strip("<>").lower()] += 1
            return told + placeholder

        return replacement

    if "@" in text:
        text = _EMAIL.sub(put(EMAIL), text)
    text = _IBAN.sub(lambda match: _without(match.group(), _ibans, IBAN, found), text)
    text = _DIGITS.sub(lambda match: _without(match.group(), _cards, CARD, found), text)
    for pattern in (_SSN, _TOLD_SSN):
        text = pattern.sub(put(SSN), text)
    for pattern in (_INTERNATIONAL, _INTERNATIONAL_00, _NORTH_AMERICA, _NATIONAL, _TOLD):
        text = pattern.sub(put(PHONE), text)
    return text


def _without(run: str, find: Callable[[str], Iterator[tuple[int, int]]], placeholder: str, found: Counter[str]) -> str:
    """Return the run with what `find` finds in it replaced."""
    parts, done = [], 0
    for start, end in find(run):
        parts += [run[done:start], placeholder]
        done = end
        found[placeholder.strip("<>").lower()] += 1
    return "".join((*parts, run[done:]))


def _ibans(run: str) -> Iterator[tuple[int, int]]:
    """Yield the IBAN a run starts with: words in capitals may follow it, so its end is tried at each group."""
    ends = [match.start() for match in re.finditer(r"[ -]", run)] + [len(run)]
    for end in reversed(ends):
        if end >= 15 and iban.is_valid(run[:end].replace("-", ""), check_country=False):
            yield 0, end
            return


def _cards(run: str) -> Iterator[tuple[int, int]]:
    """Yield the cards in a run of digits: they start and end where a group of digits does."""
    places = [i for i, character in enumerate(run) if character.isdecimal()]
    digits = "".join(run[i] for i in places)
    starts = [n for n, i in enumerate(places) if i == 0 or n == 0 or places[n - 1] != i - 1]
    ends = {*starts[1:], len(digits)}
    done = 0
    for start in starts:
        if start < done:
            continue
        for length in _CARD_LENGTHS:
            if start + length in ends and _is_card(digits[start : start + length]):
                done = start + length
                yield places[start], places[done - 1] + 1
                break


def _is_card(digits: str) -> bool:
    if not digits.isascii():
        digits = "".join(str(int(digit)) for digit in digits)
    known = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _ISSUERS)
    return known and bool(luhn.is_valid(digits))


def _is_phone(number: str, *, told: bool) -> bool:
    """Tell a phone number from dates, decimals and years that look alike."""
    groups = re.findall(r"\d+", number)
    digits = sum(map(len, groups))
    international = number.lstrip("( ").startswith(("+", "00"))
    least = 7 if told else 8 if international else 9
    if not least <= digits <= 15 or _DATE.search(number) or _YEARS.fullmatch(number.strip()):
        return False
    if "." in number and (len(groups) < 3 or set(re.sub(r"[\d+()]", "", number)) != {"."}):
        return len(groups) >= 4 and international and " " not in number  # "+1.5 20" is a list of figures
    # A bare figure after "call" is a strike price or a volume; a phone number has groups, a leading zero or ten digits.
    return international or len(groups) > 1 or digits >= 10 or number.lstrip("(").startswith("0")
