"""Personal data of nobody: valid in form, from ranges kept for fiction and tests, planted into headlines.

E-mail at reserved example domains, telephone numbers of the ranges kept for drama, cards with an issuer's prefix and a
right Luhn digit, IBANs with right check digits, and social security numbers of areas that were never given to a place.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from stdnum import luhn
from stdnum.iso7064 import mod_97_10

_FIRST: Final = ("ada", "bruno", "cleo", "dara", "emil", "farah", "goran", "hana", "ivo", "jun", "kofi", "lena")
_LAST: Final = ("abel", "brandt", "castell", "dumont", "eriks", "falk", "gallo", "haddad", "ito", "jansen", "kowal")
# Test card numbers' prefixes, with the length of the whole number.
_CARDS: Final = (("411111", 16), ("555555", 16), ("222300", 16), ("378282", 15), ("601111", 16), ("305693", 14))
_PHRASES: Final[dict[str, tuple[str, ...]]] = {
    "email": ("(tips: {})", "- press contact {}", "| write to {}", "(desk {})", "; reader tip from {}"),
    "phone": ("(press line {})", "- call {}", "| newsroom {}", "(contact {})", "; reader tip, phone {}"),
    "card": ("(reader's card {} on file)", "- subscription paid with {}", "; tipster left card {}"),
    "iban": ("(refund to {})", "- wire fee to {}", "; account given as {}"),
    "ssn": ("(tipster SSN {})", "- source gave SSN {}", "; social security {} in leaked memo"),
}
_KINDS: Final = ("email", "email", "email", "phone", "phone", "phone", "card", "iban", "ssn")


def plant(text: str, rng: random.Random) -> tuple[str, list[str]]:
    """Return the headline with one or two pieces of personal data behind it, and those pieces."""
    planted: list[str] = []
    for kind in rng.sample(_KINDS, rng.choice((1, 1, 2))):
        value = _MAKERS[kind](rng)
        text = f"{text} {rng.choice(_PHRASES[kind]).format(value)}".replace(" ;", ";")
        planted.append(value)
    return text, planted


def _email(rng: random.Random) -> str:
    name = rng.choice(("", "_", "-", ".")).join((rng.choice(_FIRST), rng.choice(_LAST)))
    domain = rng.choice(("example.com", "example.org", "example.net", "mail.example.com", "desk.example"))
    return f"{name}{rng.choice(('', rng.randint(2, 99)))}@{domain}"


def _phone(rng: random.Random) -> str:
    last = f"{rng.randint(0, 99):02d}"
    area = rng.choice(("202", "312", "415", "617", "713"))
    numbers = (
        f"+1 {area} 555 01{last}",
        f"({area}) 555-01{last}",
        f"{area}-555-01{last}",
        f"+44 20 7946 0{rng.randint(0, 999):03d}",
        f"+44 1632 960{rng.randint(0, 999):03d}",
    )
    return rng.choice(numbers)


def _card(rng: random.Random) -> str:
    prefix, length = rng.choice(_CARDS)
    body = prefix + "".join(str(rng.randint(0, 9)) for _ in range(length - len(prefix) - 1))
    number = body + luhn.calc_check_digit(body)
    if length != 16:
        return number
    return rng.choice(("", " ", "-")).join(number[i : i + 4] for i in range(0, 16, 4))


def _iban(rng: random.Random) -> str:
    def digits(count: int) -> str:
        return "".join(str(rng.randint(0, 9)) for _ in range(count))

    country, account = rng.choice((("GB", f"TEST{digits(14)}"), ("DE", digits(18)), ("NL", f"TEST{digits(10)}")))
    number = country + mod_97_10.calc_check_digits(account + country) + account
    return rng.choice((number, " ".join(number[i : i + 4] for i in range(0, len(number), 4))))


def _ssn(rng: random.Random) -> str:
    return f"{rng.randint(773, 899)}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


_MAKERS: Final[dict[str, Callable[[random.Random], str]]] = {
    "email": _email,
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "ssn": _ssn,
}
