"""Numbers that belong to one person: payment cards, IBANs, US social security numbers, accounts, identity documents.

Check digits decide about cards and IBANs, so order numbers, prices, volumes and dates stay; account and document
numbers have none that all countries share, and are found only behind a word that says what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stdnum import iban, luhn

from schemas.rules.privacy.contacts import DATE, YEARS
from schemas.rules.privacy.kinds import Kind
from schemas.rules.privacy.rule import Rule, Span, found_by
from schemas.rules.privacy.signs import Sign

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_DIGITS = re.compile(r"\d(?:[ .\-]?\d){11,}")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([-\u2010-\u2013])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_ANNOUNCED_SSN = re.compile(
    r"\b(?:ssn|social security)\b[^\d]{0,16}"
    r"(?P<value>(?!000|666|9)\d{3}[ .]?(?!00)\d{2}[ .]?(?!0000)\d{4})(?!\d)",
    re.IGNORECASE,
)

_IS = r"[.:#]?(?: (?:is|was))?[ :=#\"'(\[]{0,4}"
_NUMBER = r"(?:[ _-]?(?:number|num|no|nr|id)\b|(?= ?#))"
_ACCOUNT = re.compile(
    r"(?<![\w/])(?:"
    rf"(?P<sure>(?:account|acct|acc|a/c)\.?{_NUMBER}|acct|a/c|sort[ -]?code|(?:aba |bank )?routing{_NUMBER}?|aba|bsb)"
    r"|account"
    rf"){_IS}(?P<value>(?:[A-Z]{{2,4}}[ -]?)?\d(?:[ -]?\d){{5,17}})(?!\w|[.,/]\d|%)",
    re.IGNORECASE,
)
_DOCUMENT = re.compile(
    r"(?<!\w)(?:passport|passeport|reisepass|pasaporte|(?:national )?(?:identity|id) card|national id|"
    r"driving licence|driving license|driver'?s? licen[cs]e)"
    rf"(?:[ -](?:book|document|card)\b)?{_NUMBER}?{_IS}"
    r"(?P<value>[A-Z]{1,3}[ -]?\d[A-Z0-9]{4,14}|[A-Z0-9]{6,18})(?!\w|[.,/]\d|%)",
    re.IGNORECASE,
)
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d")  # as one figure
_DOCUMENT_DIGITS: Final = 4  # at least

_ISSUERS: Final[tuple[tuple[re.Pattern[str], frozenset[int]], ...]] = (
    (re.compile(r"4"), frozenset({13, 16, 19})),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset({16})),  # Mastercard
    (re.compile(r"3[47]"), frozenset({15})),  # American Express
    (re.compile(r"6011|64[4-9]|65"), frozenset({16, 17, 18, 19})),  # Discover
    (re.compile(r"30[0-5]|3[689]"), frozenset({14, 16, 17, 18, 19})),  # Diners Club
    (re.compile(r"35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),  # JCB
    (re.compile(r"2131|1800"), frozenset({15})),  # JCB, older
    (re.compile(r"62"), frozenset({16, 17, 18, 19})),  # UnionPay
    (re.compile(r"50(?:18|20|38)|5893|6304|67(?:59|6[1-3])"), frozenset(range(12, 20))),  # Maestro
)
_CARD_LENGTHS: Final = range(19, 11, -1)


def ibans(text: str) -> Iterator[Span]:
    """Yield the IBANs: words in capitals may follow one, so its end is tried at each group of a run."""
    for match in _IBAN.finditer(text):
        run = match[0]
        ends = [gap.start() for gap in re.finditer(r"[ -]", run)] + [len(run)]
        for end in reversed(ends):
            # A country's length and structure, and mod 97; the country's own check digits are not asked for.
            if end >= 15 and iban.is_valid(run[:end].replace("-", ""), check_country=False):
                yield match.start(), match.start() + end
                break


def cards(text: str) -> Iterator[Span]:
    """Yield the cards in each run of digits: they start and end where a group of digits does."""
    for match in _DIGITS.finditer(text):
        for start, end in _cards(match[0]):
            if not text[match.start() + end : match.start() + end + 1].isalpha():  # else part of a UUID or the like
                yield match.start() + start, match.start() + end


def _cards(run: str) -> Iterator[Span]:
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


def _is_account(match: re.Match[str]) -> bool:
    """Require more where only the bare word `account` comes before the figure, which may be a year or an amount."""
    value = match["value"]
    if match["sure"]:
        return True
    return len(re.findall(r"\d", value)) >= 7 and " " not in value and _no_time(value)


def _is_document(match: re.Match[str]) -> bool:
    value = match["value"]
    return len(re.findall(r"\d", value)) >= _DOCUMENT_DIGITS and _no_time(value)


def _no_time(value: str) -> bool:
    return not (DATE.search(value) or YEARS.fullmatch(value) or _DAY.fullmatch(value))


def one_number(value: str) -> str:
    """Return a number's letters and digits, in capitals and ASCII digits."""
    return "".join(str(int(one)) if one.isdecimal() else one for one in value.upper() if one.isalnum())


_DIGITS_SIGN: Final = frozenset({Sign.DIGITS})

RULES: Final = (
    Rule(Kind.IBAN, _DIGITS_SIGN, ibans, one_number),
    Rule(Kind.CARD, _DIGITS_SIGN, cards, one_number),
    Rule(Kind.SSN, _DIGITS_SIGN, found_by(_SSN), one_number),
    Rule(Kind.SSN, _DIGITS_SIGN, found_by(_ANNOUNCED_SSN), one_number),
    Rule(Kind.ACCOUNT, _DIGITS_SIGN, found_by(_ACCOUNT, _is_account), one_number),
    Rule(Kind.PASSPORT, _DIGITS_SIGN | {Sign.DOCUMENT}, found_by(_DOCUMENT, _is_document), one_number),
)
