"""Supervisor's daemon, with one rule of ours: a process that ends with exit code 2 was given something it cannot use.

No restart mends that, so it stays down. Supervisor alone would start it again when it ends within its first seconds.
"""

from __future__ import annotations

import sys
import time

from supervisor import process, supervisord
from supervisor.options import decode_wait_status
from supervisor.states import ProcessStates

from deploy.infra.machine.programs import MISTAKE


class _ContractProcess(process.Subprocess):  # type: ignore[misc]  # supervisor has no types
    """A process whose settings mistake counts as an expected end."""

    def finish(self, pid: int, status: int) -> None:
        code, _ = decode_wait_status(status)
        if code == MISTAKE and self.state == ProcessStates.STARTING:
            # Old enough not to be "exited too quickly": the end then goes by `exitcodes`, as a later one does.
            self.laststart: float = time.time() - self.config.startsecs - 1
        super().finish(pid, status)


def main() -> None:
    """Run the daemon in the foreground with the rule in place."""
    process.Subprocess = _ContractProcess  # read by ProcessConfig.make_process at each start of the daemon
    supervisord.main(sys.argv[1:])


if __name__ == "__main__":
    main()
