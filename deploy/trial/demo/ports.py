"""Ports for a machine of its own, so that a play can run beside another Millrace."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Final

from schemas.errors import Unavailable

_PORTS: Final = ("router_port", "admin_port", "teacher_port", "student_port", "worker_port", "dispatcher_port")
_BROKER: Final = range(20_000, 32_000, 2)  # below the ports that the system gives to clients


def free_ports() -> dict[str, int]:
    """Return a port that is free now for each setting of a machine.

    Raises:
        Unavailable: no pair of free ports is left for the broker, whose controller listens on the port above it.
    """
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in _PORTS]
        for one in held:
            one.bind(("127.0.0.1", 0))
        free = {name: int(one.getsockname()[1]) for name, one in zip(_PORTS, held, strict=True)}
        broker = next((port for port in _BROKER if _is_free(port) and _is_free(port + 1)), None)
    if broker is None:
        raise Unavailable("no two neighbouring ports between 20000 and 32000 are free for the broker")
    return free | {"broker_port": broker}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
