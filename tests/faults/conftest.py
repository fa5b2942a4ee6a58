"""What every fault test gets besides the broker: a voice that is heard when the test passes, too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

Note = Callable[[str], None]


@pytest.fixture
def note(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Note]:
    """Print a fault's proof and its accounting table whether or not the test passes, under the test's name.

    All at once and to standard error: two workers share it, and their standard output leads nowhere.
    """
    said = [f"\n\n== {request.node.name}"]
    yield said.append
    with capsys.disabled():
        print("\n".join(said), file=sys.stderr, flush=True)
