"""Hashed character n-grams of many texts at once: the features of a linear text model that several processes share.

A text is lower-cased and set between two spaces; each run of `shortest` to `longest` characters is one n-gram. Its
number is the polynomial `h = h * 1_000_003 + code point + 1` over its characters, modulo 2^64; its bucket is the top
bits of `h * 0x9E3779B97F4A7C15` modulo 2^64. Equal in every process, without a table; a batch costs few array passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BASE: Final = np.uint64(1_000_003)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads neighbouring numbers


@dataclass(frozen=True, slots=True)
class NgramForm:
    """How texts become features."""

    shortest: int  # characters of an n-gram
    longest: int
    bits: int  # 2**bits buckets


def ngrams(texts: Sequence[str], form: NgramForm) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (text number, bucket) of every n-gram, repeated ones repeated; two arrays of one length."""
    joined = "\x00".join(f" {text.lower()} " for text in texts)
    points = np.frombuffer(joined.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32).astype(np.uint64)
    breaks = points == 0
    owner = np.cumsum(breaks)
    numbers: list[NDArray[np.int64]] = []
    buckets: list[NDArray[np.int64]] = []
    hashed = np.zeros(len(points), dtype=np.uint64)  # of the n-gram that begins at each character
    whole = ~breaks
    for length in range(1, form.longest + 1):
        stop = len(points) - length + 1
        if stop <= 0:
            break
        hashed = hashed[:stop] * _BASE + points[length - 1 :] + np.uint64(1)
        whole = whole[:stop] & ~breaks[length - 1 :]
        if length >= form.shortest:
            numbers.append(owner[:stop][whole])
            buckets.append(((hashed[whole] * _SPREAD) >> np.uint64(64 - form.bits)).astype(np.int64))
    if not numbers:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return np.concatenate(numbers), np.concatenate(buckets)


def mean_weights(texts: Sequence[str], form: NgramForm, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each text the mean weight of its n-grams; 0 for a text without any."""
    numbers, buckets = ngrams(texts, form)
    sums = np.bincount(numbers, weights=weights[buckets], minlength=len(texts))
    counts = np.bincount(numbers, minlength=len(texts))
    return sums / np.maximum(counts, 1)
