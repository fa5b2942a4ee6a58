"""A worker whose clock is moved while it works: `millrace worker` under a clock that two signals set.

    python -m tests.faults.shifted --stages curate

SIGUSR1 sets it ten minutes ahead of the true time, SIGUSR2 ten minutes behind; the log says its offset then.
All Python code sees the moved clock; monotonic time goes on as it does when a real clock is moved. librdkafka, which
measures by monotonic time, is not touched: libfaketime, which would reach it too, makes its timed waits hang.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import time_machine

from streams.__main__ import main

MOVE: Final = timedelta(minutes=10)


def _move(clock: Any, by: timedelta) -> None:
    true = time_machine.escape_hatch.datetime.datetime
    clock.move_to(true.now(UTC) + by)
    seconds = (datetime.now(UTC) - true.now(UTC)).total_seconds()
    os.write(2, f"the clock is at {seconds:+.0f} s\n".encode())


if __name__ == "__main__":
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        signal.signal(signal.SIGUSR1, lambda *_: _move(clock, MOVE))
        signal.signal(signal.SIGUSR2, lambda *_: _move(clock, -MOVE))
        main(sys.argv[1:])
