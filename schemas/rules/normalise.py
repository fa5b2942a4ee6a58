"""One spelling of a text for storage, and a coarser one for finding exact duplicates."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")


def normalise(text: str) -> str:
    """Return the text in NFKC, without control and zero-width characters, with single spaces."""
    if text.isascii() and text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text  # most texts
    if not text.isprintable():
        text = _CONTROL.sub("", text)  # first of all: only then may an accent be beside its letter
    return " ".join(unicodedata.normalize("NFKC", text).split())


def normalise_all(texts: Sequence[str]) -> list[str]:
    """Normalise each text; the test for texts that need nothing is repeated here to save its calls."""
    return [
        text
        if text.isascii() and text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " "
        else normalise(text)
        for text in texts
    ]


def text_key(workload: str, normalised: str, template: str | None = None) -> str:
    """Return the hash under which exact duplicates meet: case is ignored, other prompts are not.

    Args:
        workload: the workload's name; texts of two workloads are never duplicates of each other.
        normalised: a text that `normalise` returned.
        template: fingerprint of the prompt's fixed part; the same text under another prompt is another question.
    """
    form = "\x00".join((workload, template or "", normalised.casefold()))
    return blake2b(form.encode(), digest_size=16).hexdigest()
