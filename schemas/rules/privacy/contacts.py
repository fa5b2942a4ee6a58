"""Where a text says how to reach somebody: e-mail addresses, telephone numbers and IP addresses.

A phone number that is one run of digits, without a country's code, is found only behind a word such as `tel`: order
numbers look the same, and so do the price ranges of a news feed that strips punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from schemas.rules.privacy.kinds import Kind
from schemas.rules.privacy.rule import Rule, found_by
from schemas.rules.privacy.signs import Sign

_EMAIL = re.compile(r"(?<![\w.%+'-])[\w.%+'-]++@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_][\w-]{1,62}")

_GAP = r"[ ().\-/\u2010-\u2013]{0,3}"
_START, _END = r"(?<![\w.,$€£+\-/])", r"(?: ?(?:x|ext\.?) ?\d{1,6})?(?!\w|[.,\-/%]\d|%)"
_INTERNATIONAL = re.compile(rf"(?<![\w+])\+ ?\(?[1-9](?:{_GAP}\d){{7,14}}(?!\d)")
_INTERNATIONAL_00 = re.compile(r"(?<![\w.,$€£+\-])00[1-9]\d{0,2}(?:[ ().\-/]{1,3}\d{1,9}){2,6}(?![\w])")
_NORTH_AMERICA = re.compile(
    rf"{_START}(?:1[ .\-])?(?:\([2-9]\d{{2}}\) ?|[2-9]\d{{2}}[ .\-])[2-9]\d{{2}}[ .\-]\d{{4}}{_END}"
)
_AREA = re.compile(rf"{_START}(?:8 ?)?\((?:\d{{3}}\) ?\d{{3}}|\d{{2}}\) ?9?\d{{4}})[ .\-]\d{{2}}[ .\-]?\d{{2}}{_END}")
_NATIONAL = re.compile(
    rf"{_START}\(?0[1-9]\d{{0,4}}(?:\)[ .\-/]{{0,2}}|[ .\-/]{{1,2}})\d{{2,8}}(?:[ .\-/]{{1,2}}\d{{2,8}}){{0,4}}{_END}"
)
_ANNOUNCED = re.compile(
    r"\b(?:(?P<sure>(?:tel|telephone|phone|ph|mobile|cell|fax|whatsapp|hotline)(?:[.:]|(?= (?:no|number|is)\b)))|"
    r"(?:tel|telephone|phone|ph|mobile|cell|fax|whatsapp|hotline|dial|call|text|ring|reach)\b[.:]?)"
    r"(?: (?:no|number|us|me|him|her|them|on|at|is)\b[.:]?){0,2} ?#? ?"
    r"(?P<value>\(?\d(?:[ ().\-/]{0,3}\d){6,14})(?!\d|[.,]\d|%)",
    re.IGNORECASE,
)

DATE: Final = re.compile(r"(?<!\d)(?:(?:19|20)\d\d[-./ ]\d\d?[-./ ]\d\d?|\d\d?[-./]\d\d?[-./](?:19|20)?\d\d)(?!\d)")
YEARS: Final = re.compile(r"(?:(?:19|20)\d\d[ \-/]?)+")

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\w|\.\d|%)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4})(?![\w:])")
_NUMBERED = re.compile(
    r"(?:\b(?:v|ver|version|release|build|firmware|patch|update|section|sec|chapter|clause|rule|article|item|table|"
    r"figure|annex|paragraph|windows|android|ios|chrome|firefox|firmware)|§)[.:]? ?$",
    re.IGNORECASE,
)
_AN_ADDRESS = re.compile(r"\b(?:ip|ipv4|address|host|server|dns|gateway|ping|client|peer)\b[^\w]{1,3}$", re.IGNORECASE)
_BEFORE: Final = 16  # characters that are looked at before a match
_SMALL: Final = 20  # four parts below this are as likely a version as an address


def _is_phone(number: str, *, announced: bool = False, sure: bool = False) -> bool:
    """Distinguish a phone number from dates, decimals and years that look alike.

    Args:
        number: as the text spells it.
        announced: a word such as `call` comes before it.
        sure: that word means nothing but a phone, such as `tel:`.
    """
    groups = re.findall(r"\d+", number)
    digits = sum(map(len, groups))
    international = number.lstrip("( ").startswith(("+", "00"))
    least = 8 if international else 9
    if not (7 if announced else least) <= digits <= 15 or DATE.search(number) or YEARS.fullmatch(number.strip()):
        return False
    if "." in number and (len(groups) < 3 or set(re.sub(r"[\d+()]", "", number)) != {"."}):
        return len(groups) >= 4 and international and " " not in number  # "+1.5 20" is a list of figures
    if announced and len(groups) == 2 and "-" in number and _is_range(*groups):
        return False
    # A bare figure after "call" is a strike price or a volume; a phone number has groups, a leading zero or ten digits.
    return sure or international or len(groups) > 1 or digits >= 10 or number.lstrip("(").startswith("0")


def _is_range(low: str, high: str) -> bool:
    """Return whether two figures read as from one to the other, such as "reach 8600-8700"."""
    return len(low) == len(high) and int(low) < int(high) <= int(low) * 1.1


def _is_plain_phone(match: re.Match[str]) -> bool:
    return _is_phone(re.split(r" ?[xe]", match[0], maxsplit=1)[0])


def _is_announced_phone(match: re.Match[str]) -> bool:
    return _is_phone(match["value"], announced=True, sure=match["sure"] is not None)


def _is_area_phone(match: re.Match[str]) -> bool:
    return YEARS.search(match[0]) is None


def _is_ipv4(match: re.Match[str]) -> bool:
    """Distinguish an address from a version or a section: by the word before it, else by the size of its parts."""
    before = match.string[max(0, match.start() - _BEFORE) : match.start()]
    if _NUMBERED.search(before):
        return False
    parts = [int(part) for part in match[0].split(".")]
    large = max(parts) >= _SMALL or parts[0] == 10 or len(set(parts)) == 1
    return parts[0] > 0 and (large or _AN_ADDRESS.search(before) is not None)


def _is_ipv6(match: re.Match[str]) -> bool:
    """Distinguish an address from a time, and from names that two colons join."""
    try:
        IPv6Address(match[0])
    except AddressValueError:
        return False
    groups = [group for group in match[0].split(":") if group]
    known = match[0].lower().startswith(("fe80::", "fc00::", "fd", "2001:", "2a", "::ffff:", "::1"))
    return any(character.isdigit() for character in match[0]) and (len(groups) >= 3 or (known and "::" in match[0]))


def one_phone(number: str) -> str:
    """Return a phone number's digits, without the ways to dial out: +44 20…, 0044 20… and +44 (0)20… are one."""
    number = re.split(r" ?[xe]", number, maxsplit=1)[0].replace("(0)", "")  # without its extension
    digits = "".join(str(int(character)) for character in number if character.isdecimal()).removeprefix("00")
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits  # North America, with its code


def one_ip(address: str) -> str:
    """Return an IP address in its shortest form."""
    read: Callable[[str], IPv4Address | IPv6Address] = IPv6Address if ":" in address else IPv4Address
    return str(read(address))


def one_name(name: str) -> str:
    """Return a name in small letters, without the ending of a genitive."""
    return re.sub(r"['\u2019]s?$", "", name.casefold())


RULES: Final = (
    Rule(Kind.EMAIL, frozenset({Sign.AT}), found_by(_EMAIL), str.casefold),
    Rule(Kind.IP, frozenset({Sign.COLONS}), found_by(_IPV6, _is_ipv6), one_ip),
    Rule(Kind.IP, frozenset({Sign.DOTS}), found_by(_IPV4, _is_ipv4), one_ip),
    *(
        Rule(Kind.PHONE, frozenset({Sign.DIGITS}), find, one_phone)
        for find in (
            found_by(_INTERNATIONAL, _is_plain_phone),
            found_by(_INTERNATIONAL_00, _is_plain_phone),
            found_by(_NORTH_AMERICA, _is_plain_phone),
            found_by(_NATIONAL, _is_plain_phone),
            found_by(_AREA, _is_area_phone),
            found_by(_ANNOUNCED, _is_announced_phone),
        )
    ),
)
