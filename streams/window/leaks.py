"""Which training texts are near duplicates of an evaluation text: none that curate's rule would name is missed. Pure.

Curate's index may miss one in a thousand pairs that are just alike enough, which only costs a teacher call; a leak
would make every figure of a student wrong. So candidates are found by prefix filtering (Bayardo, Ma and Srikant,
"Scaling up all pairs similarity search", WWW 2007), which loses none: with the grams of both texts in one order, rarest
first, a pair with a Jaccard similarity of t or more has a gram in common among the first |x| - ceil(t |x|) + 1 of each.
The exact similarity decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.arrays import Ints
from streams.curate.duplicates.grams import Grams, Hashes, grams_of, jaccard

_PAIRS: Final = 200_000  # looked at in one go: with 40 grams a text about 150 MB
_BITS: Final = 32  # of a row's number, or of a rank

Bools = NDArray[np.bool_]


def near_evaluation(training: Sequence[str], evaluation: Iterable[Sequence[str]], similarity: float) -> Bools:
    """Return which training texts are near duplicates of an evaluation text.

    Args:
        training: normalised texts.
        evaluation: normalised texts, in chunks of which one at a time is held.
        similarity: the least Jaccard similarity over word 1- and 2-grams of a near duplicate, above 0.
    """
    near = np.zeros(len(training), np.bool_)
    if not training:
        return near
    mine = _Training(grams_of(training), similarity)
    for chunk in evaluation:
        others = grams_of(chunk)
        each = others.each()
        for one, other in mine.candidates(others):
            fresh = ~near[other]
            ones, found = one[fresh].tolist(), other[fresh].tolist()
            alike = jaccard([each[row] for row in ones], [mine.each[row] for row in found]) >= similarity
            near[np.array(found, np.int64)[alike]] = True
    return near


class _Training:
    """The prefixes of the training texts by gram, and the order that prefixes are taken in.

    A gram's rank is its place in that order, from 1; 0 means any gram that no training text has. Such a
    gram in the prefix of another text matches nothing, so the order among them does not matter.
    """

    def __init__(self, grams: Grams, similarity: float) -> None:
        self._similarity = similarity
        self.each = grams.each()
        self._sizes = _sizes(grams)
        encoded = pa.array(grams.hashes).dictionary_encode()  # by hash table: sorting them takes three times as long
        self._known, known = encoded.dictionary, encoded.indices.to_numpy()
        counts = np.bincount(known, minlength=len(self._known))
        self._ranks = np.zeros(len(counts) + 1, np.int64)  # the last one: that of a gram which is not here
        self._ranks[np.argsort(counts, kind="stable")] = np.arange(1, len(counts) + 1)
        row, rank = self._prefixes(self._ranks[known], self._sizes)
        order = np.argsort(rank, kind="stable")
        self._rows = row[order]
        self._numbers = np.bincount(rank, minlength=len(counts) + 1)
        self._begins = np.cumsum(self._numbers) - self._numbers

    def candidates(self, others: Grams) -> Iterator[tuple[Ints, Ints]]:
        """Yield pairs (row of the others, row of the training texts) among which all near duplicates are."""
        sizes = _sizes(others)
        row, rank = self._prefixes(self._ranks_of(others.hashes), sizes)
        begin, number = self._begins[rank], self._numbers[rank]
        matching = number > 0
        row, begin, number = (column[matching] for column in (row, begin, number))
        for some in np.split(np.arange(len(row)), _cuts(number)):
            one = np.repeat(row[some], number[some])
            within = np.arange(len(one)) - np.repeat(np.cumsum(number[some]) - number[some], number[some])
            other = self._rows[np.repeat(begin[some], number[some]) + within]
            pairs = np.unique(one << _BITS | other)
            one, other = pairs >> _BITS, pairs & (2**_BITS - 1)
            small = np.minimum(sizes[one], self._sizes[other])
            large = np.maximum(sizes[one], self._sizes[other])
            possible = small >= self._similarity * large - 1e-9
            yield one[possible], other[possible]

    def _prefixes(self, ranks: Ints, sizes: Ints) -> tuple[Ints, Ints]:
        """Return row and rank of the grams in each text's prefix, text by text."""
        row = np.repeat(np.arange(len(sizes)), sizes)
        tagged = np.sort(row << _BITS | ranks)
        place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        length = sizes - np.ceil(self._similarity * sizes - 1e-9).astype(np.int64) + 1
        kept = tagged[place < length[row]]
        return kept >> _BITS, kept & (2**_BITS - 1)

    def _ranks_of(self, hashes: Hashes) -> Ints:
        known: Ints = pc.index_in(pa.array(hashes), self._known).fill_null(-1).to_numpy()
        return self._ranks[known]


def _sizes(grams: Grams) -> Ints:
    starts = grams.starts.astype(np.int64)
    return starts[1:] - starts[:-1]


def _cuts(number: Ints) -> Ints:
    """Return where to cut a list of entries, each with its number of pairs, into runs of about `_PAIRS` pairs."""
    run = np.cumsum(number) // _PAIRS
    return np.flatnonzero(np.diff(run)) + 1
