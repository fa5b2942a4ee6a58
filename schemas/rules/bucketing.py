"""Sticky buckets: which requests a rollout's challenger answers, the same in every process and every language.

A bucket is a number in [0, 1) from a keyed BLAKE2b; a request is in when its bucket is below the weight, so a higher
weight only adds requests (ramps are nested). The salt is the rollout's id: two rollouts hit independent requests.
docs/bucketing-vectors.json holds published test vectors. Nothing here knows of rollouts, weights or HTTP.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from typing import Final

SALT_BYTES: Final = 64  # BLAKE2b's longest key
_BITS: Final = 53  # what a double holds exactly, so that every language computes the same number


def bucket(salt: str, key: str) -> float:
    """Return the key's bucket in [0, 1): the top 53 bits of BLAKE2b-64(message=key, key=salt), big endian, over 2^53.

    Raises:
        ValueError: the salt is empty or longer than 64 bytes in UTF-8.
    """
    secret = salt.encode()
    if not 0 < len(secret) <= SALT_BYTES:
        raise ValueError(f"a salt has 1 to {SALT_BYTES} bytes, not {len(secret)}")
    number = int.from_bytes(blake2b(key.encode(), key=secret, digest_size=8).digest(), "big")
    return float(number >> (64 - _BITS)) / float(1 << _BITS)


def sticky_key(session_id: str | None, user: str | None, text: str) -> str:
    """Return the key of a request's bucket: its session, else its user, else its normalised text.

    Never random: the retries of one document must reach one model. The prefix keeps the three kinds apart.
    """
    if session_id:
        return f"session:{session_id}"
    if user:
        return f"user:{user}"
    return f"text:{sha256(text.encode()).hexdigest()}"
