"""Which partition a workload's records belong to: Kafka's murmur2, as Java's default partitioner computes it.

Every client must agree, or one workload would meet several workers and duplicates would be missed.
"""

from __future__ import annotations

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Hash bytes to an unsigned 32-bit integer (MurmurHash2 with Kafka's seed)."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length - length % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    rest = data[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def partition_of(workload: str, partitions: int) -> int:
    """Return the partition, 0 to `partitions` - 1, of every record of the workload."""
    return (murmur2(workload.encode()) & 0x7FFFFFFF) % partitions
