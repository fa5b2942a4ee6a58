"""Splits by cluster."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Split
from schemas.rules.splits import split_of
from schemas.sections.window import Splits

SHARES = Splits(validation=0.1, certification=0.05, test=0.2)
KNOWN = ["VA", "TE", "TR", "TE", "TR", "VA", "TE", "TE", "TE", "TR", "TR", "TR"]
_ORDER = [Split.TRAIN, Split.VALIDATION, Split.CERTIFICATION, Split.TEST]


def test_split__known_values() -> None:
    """The split of a cluster is for ever: these were computed once."""
    known = [split_of("news", f"cluster-{n}", SHARES) for n in range(12)]

    assert [split.value[:2] for split in known] == KNOWN


@given(st.text(), st.text())
def test_split__depends_on_workload_and_cluster_alone(workload: str, cluster: str) -> None:
    """The same cluster of the same workload always has the same split."""
    assert split_of(workload, cluster, SHARES) is split_of(workload, cluster, SHARES)


def test_split__shares() -> None:
    """Each split gets its share of the clusters within four standard deviations, in every workload."""
    n = 20_000
    for workload in ("news", "sentiment", "banking"):
        found = Counter(split_of(workload, f"cluster-{at}", SHARES) for at in range(n))
        for split, share in zip(_ORDER, (0.65, 0.1, 0.05, 0.2), strict=True):
            assert abs(found[split] - n * share) <= 4 * (n * share * (1 - share)) ** 0.5


@given(
    st.text(min_size=1), st.floats(0, 0.2), st.floats(0, 0.2), st.floats(0, 0.2),
    st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0, 0.05),
)  # fmt: skip
def test_split__raised_shares(cluster: str, v: float, c: float, t: float, dv: float, dc: float, dt: float) -> None:
    """Raising evaluation shares never moves a cluster to training."""
    before = split_of("news", cluster, Splits(validation=v, certification=c, test=t))
    after = split_of("news", cluster, Splits(validation=v + dv, certification=c + dc, test=t + dt))

    assert before is Split.TRAIN or after is not Split.TRAIN


def test_split__no_shares() -> None:
    """Without evaluation shares everything trains."""
    assert split_of("news", "any", Splits(validation=0, certification=0, test=0)) is Split.TRAIN
