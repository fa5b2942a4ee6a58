"""One spelling of a text for storage, and a coarser one for telling exact duplicates."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b

_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff]")


def normalise(text: str) -> str:
    """Return the text in NFKC, without control and zero-width characters, with single spaces."""
    return _SPACE.sub(" ", _CONTROL.sub("", unicodedata.normalize("NFKC", text))).strip()


def text_key(workload: str, normalised: str, template: str | None = None) -> str:
    """Return the hash under which exact duplicates meet: case and the workload's other prompts set aside.

    Args:
        workload: the workload's name; texts of two workloads are never duplicates of each other.
        normalised: a text that `normalise` returned.
        template: fingerprint of the prompt's fixed part; the same text under another prompt is another question.
    """
    form = "\x00".join((workload, template or "", normalised.casefold()))
    return blake2b(form.encode(), digest_size=16).hexdigest()
