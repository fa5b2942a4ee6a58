"""How a program starts: its name in usage lines, its errors in one line, and the options that many of them share.

A command ends with 2 on any expected error. A process that stays ends with 2 on a mistake that a person has to mend,
which no supervisor tries again, and with 1 on what a fresh process may find mended.
A program's `__main__` declares commands and options and imports the work inside them, so that help costs no library.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, ParamSpec

import click

from schemas.errors import BadInput, ContractError, MillraceError

if TYPE_CHECKING:
    from deploy.edge.process.settings import Settings

P = ParamSpec("P")

WORKLOAD: Final = click.argument("workload", required=False)
WORKLOAD_OPTION: Final = click.option("-w", "--workload", help="The workload.  [default: the only one there is]")
SERVERS: Final = click.option("--bootstrap-servers", help="The Kafka cluster.  [default: MILLRACE_BOOTSTRAP_SERVERS]")
AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def run(main: click.Command, name: str) -> None:
    """Run a program's command under the name that people type, such as `millrace verify`."""
    main(prog_name=name, help_option_names=["--help", "-h"])


def load_settings(bootstrap_servers: str | None = None, topic_prefix: str | None = None) -> Settings:
    """Read the settings that all processes share; what is given here wins over the environment."""
    from deploy.edge.process.settings import Settings  # pydantic takes 0.3 s: not before a command runs

    return Settings.load(bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that a MillraceError prints `error: …` without a stack trace and exits with 2."""
    return _ending(command, MillraceError)


def restartable(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a process that stays: as `one_line_errors`, but what a fresh process may find mended exits with 1."""
    return _ending(command, (BadInput, ContractError))


def _ending(
    command: Callable[P, None], mistakes: type[MillraceError] | tuple[type[MillraceError], ...]
) -> Callable[P, None]:
    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except MillraceError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2 if isinstance(error, mistakes) else 1)
        except KeyboardInterrupt:
            sys.exit(130)

    return wrapped
