"""Which currencies a text names, by symbol, code or name, as ISO 4217 codes. Pure rules.

Where several currencies share a name, the most traded one counts: `$` and `dollar` alone are the US dollar's, `¥` the
yen's, `Rs` and `rupee` the Indian rupee's. `$` counts before a figure only, so a cash tag ($AAPL) is no dollar.

Not recognised: historical currencies; `pound` alone, which is a weight as often; `krona`, `krone`, `crown`, `peso`,
`franc`, `lira`, `won`, `real` and `rand` without their country; `kr`, which names four currencies; cents.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_CODE_TABLE: Final = """
USD EUR GBP JPY CHF CNY CAD AUD NZD SEK DKK HKD SGD INR KRW BRL MXN ZAR RUB PLN CZK HUF THB IDR MYR PHP TWD ILS SAR AED
QAR KWD EGP NGN KES PKR LKR BDT VND CLP ARS UAH KZT
"""
_SIGN_TABLE: Final = """
€ EUR, £ GBP, ¥ JPY, ￥ JPY, ₹ INR, ₩ KRW, ₽ RUB, ₺ TRY, ₪ ILS, ฿ THB, ₫ VND, ₱ PHP, ₴ UAH, ₦ NGN,
US$ USD, C$ CAD, CA$ CAD, A$ AUD, AU$ AUD, NZ$ NZD, HK$ HKD, S$ SGD, R$ BRL, MX$ MXN, NT$ TWD
"""
_NAME_TABLE: Final = """
dollar USD, euro EUR, sterling GBP, pence GBP, yen JPY, yuan CNY, renminbi CNY, rmb CNY, rupee INR, ruble RUB,
rouble RUB, zloty PLN, zł PLN, forint HUF
"""
_COUNTRY_TABLE: Final = """
canadian dollar CAD, australian dollar AUD, aussie dollar AUD, zealand dollar NZD, kiwi dollar NZD, kong dollar HKD,
singapore dollar SGD, taiwan dollar TWD, swiss franc CHF, swedish krona SEK, swedish crown SEK, norwegian krone NOK,
norwegian crown NOK, danish krone DKK, danish crown DKK, czech crown CZK, british pound GBP, egyptian pound EGP,
mexican peso MXN, argentine peso ARS, chilean peso CLP, colombian peso COP, philippine peso PHP, turkish lira TRY,
korean won KRW, brazilian real BRL, african rand ZAR, pakistani rupee PKR, lankan rupee LKR
"""
_CODES: Final = tuple(_CODE_TABLE.split())
_TICKERS_TOO: Final = ("NOK", "TRY", "RON", "COP", "PEN", "MAD")  # or English words: counted beside a figure only
_SIGNS: Final = dict(entry.split() for entry in _SIGN_TABLE.split(","))
_BEFORE_A_FIGURE: Final = {"$": "USD", "Rs": "INR"} | {code: code for code in _TICKERS_TOO}
_NAMES: Final = dict(entry.split() for entry in _NAME_TABLE.split(","))
_OF_A_COUNTRY: Final = {  # the last word of the country, and the currency
    (country, name): code for country, name, code in map(str.split, _COUNTRY_TABLE.split(","))
}
_PLURALS: Final = {"kronor": "krona", "kroner": "krone", "reais": "real"}
_SINGULAR: Final = {f"{name}s": name for name in (*_NAMES, *(name for _, name in _OF_A_COUNTRY))} | _PLURALS
_PLAIN: Final[dict[str, tuple[str, ...]]] = {  # pieces that name a currency without their neighbours
    **{code: (code,) for code in _CODES},
    **{one + two: (one, two) for one in _CODES for two in _CODES if one != two},  # EURUSD
    **{sign: (code,) for sign, code in _SIGNS.items()},
}
_MAGNITUDES: Final = frozenset(("k", "m", "mn", "mln", "b", "bn", "million", "billion", "crore", "lakh"))
_FOREIGN: Final = re.compile(f"[{''.join(sign for sign in _SIGNS if len(sign) == 1)}]|zł")
_PIECE: Final = re.compile(rf"[^\W\d_]+\$?|\$[^\W\d_]*|\d+|{_FOREIGN.pattern}")
_DOLLAR: Final = re.compile(r"\$(?![A-Za-z])|[A-Z]\$")  # and no cash tag
_GLUED: Final = re.compile(r"[A-Z]{3}\d"), re.compile(r"\d[A-Z]{3}")  # USD5m, 5USD; two searches cost half of one
_SPELLINGS: Final = (str.lower, str.capitalize, str.upper)  # of a name; in any other it is none
_NAMED: Final = {
    spell(said): name
    for spell in _SPELLINGS
    for said, name in [*((name, name) for name in (*_NAMES, *(name for _, name in _OF_A_COUNTRY))), *_SINGULAR.items()]
}
# A text with none of these words names no currency: most texts need one look into a set. `real` and `won` are also
# English words, so their country is looked for instead.
_HINTS: Final = frozenset(
    {*_CODES, *_TICKERS_TOO, *(pair for pair in _PLAIN if len(pair) == 6)}
    | {said for said, name in _NAMED.items() if name in _NAMES}
    | {spell(country) for spell in _SPELLINGS for country, name in _OF_A_COUNTRY if name not in _NAMES}
)


def currencies(text: str, words: Sequence[str]) -> list[str]:
    """Return the ISO 4217 codes of the currencies that a text names, in order, each once.

    Args:
        text: the text.
        words: its words; for most texts one look-up of them in a set is enough.
    """
    if (
        _HINTS.isdisjoint(words)
        and ("$" not in text or not _DOLLAR.search(text))
        and not (_GLUED[0].search(text) or _GLUED[1].search(text) or "Rs" in text)
        and (text.isascii() or not _FOREIGN.search(text))
    ):
        return []
    pieces = ["", *_PIECE.findall(text), ""]
    found: list[str] = []
    for before, piece, behind in zip(pieces, pieces[1:], pieces[2:], strict=False):
        if piece in _PLAIN:
            found += _PLAIN[piece]
        elif piece in _BEFORE_A_FIGURE:
            follows = piece in _TICKERS_TOO and (before.isdigit() or before.lower() in _MAGNITUDES)
            if follows or behind.isdigit():
                found.append(_BEFORE_A_FIGURE[piece])
        elif piece in _NAMED:
            code = _of_a_name(_NAMED[piece], before.lower(), behind.lower())
            if code:
                found.append(code)
    return list(dict.fromkeys(found))


def _of_a_name(name: str, before: str, behind: str) -> str | None:
    if name == "euro" and behind in ("zone", "area"):
        return None
    return _OF_A_COUNTRY.get((before, name)) or _NAMES.get(name)
