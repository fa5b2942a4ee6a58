"""Buckets: the published vectors, nesting, independence of rollouts, and what a request sticks by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.bucketing import bucket, sticky_key

VECTORS = Path(__file__).parents[3] / "docs" / "bucketing-vectors.json"
SALTS = st.text(min_size=1, max_size=16)


def test_vectors__published() -> None:
    """The published vectors are what the code computes, to the last bit."""
    vectors = json.loads(VECTORS.read_text())["vectors"]

    assert len(vectors) >= 10
    assert [(v["bucket"], int(v["bucket_53"])) for v in vectors] == [
        (b := bucket(v["salt"], v["key"]), int(b * 2**53)) for v in vectors
    ]


@given(SALTS, st.text(), st.floats(0, 1), st.floats(0, 1))
def test_ramp__nested(salt: str, key: str, one: float, other: float) -> None:
    """Whoever is in at a weight is in at every higher weight; nobody is in at 0, everybody at 1."""
    value = bucket(salt, key)

    assert 0.0 <= value < 1.0
    assert (value < min(one, other)) <= (value < max(one, other))


def test_salts__independent() -> None:
    """Two rollouts hit independent requests: of 20,000 keys 5 % are in each, and 5 % of those in both."""
    keys = [f"session:{i}" for i in range(20_000)]
    first, second = ({key for key in keys if bucket(salt, key) < 0.05} for salt in ("a" * 32, "b" * 32))

    assert 900 <= len(first) <= 1100
    assert 30 <= len(first & second) <= 75


@pytest.mark.parametrize("salt", ["", "x" * 65, "é" * 33])
def test_salt__out_of_range(salt: str) -> None:
    """A salt that BLAKE2b cannot take as a key is an error, never cut silently."""
    with pytest.raises(ValueError, match="64 bytes"):
        bucket(salt, "key")


def test_key__order() -> None:
    """A request sticks by its session, else its user, else its text; an empty one counts as none."""
    assert sticky_key("s", "u", "t") == "session:s"
    assert sticky_key("", "u", "t") == "user:u"
    assert sticky_key(None, None, "t") == sticky_key(None, "", "t")
    assert len({sticky_key("x", None, "t"), sticky_key(None, "x", "t"), sticky_key(None, None, "x")}) == 3
