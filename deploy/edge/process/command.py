"""How a room's program starts: settings mistakes and other expected errors become one line and exit code 2."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from schemas.errors import MillraceError

P = ParamSpec("P")


def told_in_one_line(main: Callable[P, None]) -> Callable[P, None]:
    """Wrap a program's main so that a MillraceError prints `error: …` without a stack trace and exits with 2."""

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            main(*args, **kwargs)
        except MillraceError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            sys.exit(130)

    return wrapped
