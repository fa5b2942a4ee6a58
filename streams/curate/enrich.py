"""What can be told of a text at no cost: its words and the tickers it names. Pure rules. No language is guessed."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
_CASH_TAG = re.compile(r"(?<![\w$])\$([A-Z]{1,5}(?:\.[A-Z])?)(?![\w])")
_LISTED = re.compile(r"\((?:NYSE|NASDAQ|Nasdaq|AMEX|LSE|TSX|OTC)[ :]+([A-Z]{1,5}(?:\.[A-Z])?)\)")


def tickers(text: str) -> list[str]:
    """Return the cash tags and listings of a text, in order, each once."""
    if "$" not in text and "(" not in text:
        return []
    return list(dict.fromkeys([*_CASH_TAG.findall(text), *_LISTED.findall(text)]))


def words(text: str) -> int:
    """Return the number of words."""
    return len(_WORD.findall(text))
