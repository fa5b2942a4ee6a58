"""Sketches: the MinHash of a text's grams, cut into bands. Texts that share a band are candidates. Pure.

A sketch keeps the lowest byte of 96 minima. Four of them make a band at the default similarity, so that the 24 band
keys are the sketch: 96 bytes per member, from which the likeness is estimated too. With 3 minima per band ten times
as many of 200,000 members made of real headlines share a band with a text. By calculation these bands find 99.86 % of
the pairs at similarity 0.7 and 99.99 % at 0.75; 128 minima in 32 bands would find 99.98 % at 0.7, for a third more.
"""

from __future__ import annotations

from array import array
from math import floor, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from streams.curate.duplicates.grams import Grams

MINIMA: Final = 96
_SEED: Final = 42
_RECALL: Final = 0.998  # of pairs exactly at the required similarity
_DEVIATIONS: Final = 3.5  # below the expected number of equal minima: two in ten thousand pairs fall short

Keys = NDArray[np.uint32]  # (texts, bands)


def minima_per_band(similarity: float) -> int:
    """Return how many minima a band has: as many as still find the pairs that are just alike enough."""
    for rows in (4, 3, 2):
        if 1 - (1 - similarity**rows) ** (MINIMA // rows) >= _RECALL:
            return rows
    return 1


def band_keys(grams: Grams, rows: int) -> Keys:
    """Return the band keys of each text, `rows` minima in each."""
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(grams.hashes.astype(np.uint64), grams.starts, MINIMA, _SEED)
    bands = MINIMA // rows
    keys = np.zeros((matrix.len(), bands, 4), np.uint8)
    digests = b"".join([array("I", digest) for digest in matrix.to_rows()])  # half of what numpy takes for the lists
    keys[:, :, :rows] = np.frombuffer(digests, np.uintc).astype(np.uint8).reshape(-1, bands, rows)
    return keys.reshape(-1, 4 * bands).view(np.uint32)


def alike(one: Keys, other: Keys, similarity: float, rows: int) -> NDArray[np.bool_]:
    """Return which pairs may reach the similarity, by their equal minima: it costs a tenth of the exact answer."""
    least = floor(MINIMA * similarity - _DEVIATIONS * sqrt(MINIMA * similarity * (1 - similarity)))
    filling = (4 - rows) * one.shape[1]  # bytes of the keys that hold no minimum are always equal
    eighths = (one.view(np.uint8) == other.view(np.uint8)).view(np.uint64).sum(axis=1)  # of each eighth byte, in a byte
    equal: NDArray[np.bool_] = eighths.view(np.uint8).reshape(-1, 8).sum(axis=1) >= least + filling
    return equal
