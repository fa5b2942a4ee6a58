"""Deterministic ids: the same input gives the same id in every process and after every restart."""

from __future__ import annotations

import re
import uuid
from hashlib import blake2b
from typing import Final

API_KEY_HEADER: Final = "api-key-hash"  # of a traffic record
_KEY_DIGEST = re.compile(r"(?:sha256:)?(?:[0-9a-f]{32}|[0-9a-f]{64}|[0-9a-f]{128})")  # the router's; SHA-256; SHA-512
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://millrace.invalid/ids")


def digest(*parts: object) -> str:
    """Return 32 hex characters over the parts; parts cannot run into each other."""
    encoded = [b"%d:%b" % (len(part), part) for part in map(str.encode, map(str, parts))]
    return blake2b(b"".join(encoded), digest_size=16).hexdigest()


def key_hash(given: str) -> str:
    """Return what identifies an API key: a digest as it is, anything else hashed, since it may be the key itself."""
    return given if _KEY_DIGEST.fullmatch(given) else digest("api-key", given)


def record_id(workload: str, given: str | None, partition: int, offset: int) -> str:
    """Return the id of a traffic record: by the application's own id where it sent one, else by its place."""
    return digest("record", workload, "id", given) if given else digest("record", workload, "at", partition, offset)


def request_id(workload: str, epoch: int) -> str:
    """Return the id of the retrain request of an epoch: one per workload and epoch, whoever computes it."""
    return digest("retrain-request", workload, epoch)


def run_id(request: str, job: str) -> str:
    """Return the id of a training run: the same request with the same job specification is the same run."""
    return digest("training-run", request, job)


def event_id(model_version: str, decision: str, evaluation_sha256: str) -> str:
    """Return the id of a promotion event (a UUID): a job that runs again publishes under the same id."""
    return str(uuid.uuid5(_NAMESPACE, f"{model_version}\x00{decision}\x00{evaluation_sha256}"))


def rollout_id(promotion_event_id: str) -> str:
    """Return the id of the rollout of a nomination; it is also the salt of its bucketing."""
    return digest("rollout", promotion_event_id)
