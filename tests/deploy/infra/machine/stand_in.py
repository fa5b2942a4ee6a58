"""A small program that wears the probes of a Millrace process, for the tests of the machine.

python stand_in.py PORT [--not-ready] [--mistake] [--child FILE]
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from deploy.edge.process.probes import serve_probes
from schemas.errors import SettingsError


def start_job(note: Path) -> None:
    """Start a job that outlives who started it: in a session of its own."""
    job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    note.write_text(str(job.pid))


async def main(port: int, wrong: str | None) -> None:
    print(f"listens on {port}, sees {os.environ.get('MILLRACE_LOG_FORMAT')}")
    runner = await serve_probes("127.0.0.1", port, lambda: None, lambda: wrong)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    if runner:
        await runner.cleanup()
    print("left in good order")


if __name__ == "__main__":
    options = sys.argv[2:]
    if "--mistake" in options:
        print("error: MILLRACE_COLOUR = 'mauve': choose red or blue", file=sys.stderr)
        sys.exit(2)
    if "--child" in options:
        start_job(Path(options[options.index("--child") + 1]))
    try:
        asyncio.run(main(int(sys.argv[1]), "still loading" if "--not-ready" in options else None))
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
