"""What every fault test gets besides the broker: a voice that is heard when the test passes, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Tell = Callable[[str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Print a fault's proof and its accounting table whether or not the test passes, under the test's name."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(text)

    say(f"\n\n== {request.node.name}")
    return say
