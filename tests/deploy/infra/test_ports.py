"""What is promised of ports that must be chosen before they are bound."""

from __future__ import annotations

import pytest

from deploy.infra.ports import PROPOSED, TRIES, PortInUse, on_free_ports, propose


def test_propose__names_ports_apart() -> None:
    """Each has the one above it to itself, and none is one that the system hands out by itself."""
    ports = propose(7)

    assert len({number for port in ports for number in (port, port + 1)}) == 14
    assert set(ports) <= set(PROPOSED)


def test_start__on_ports_in_use_is_tried_again_on_others() -> None:
    """What starts at the third try is what comes back, with the ports of that try."""
    tried: list[tuple[int, int]] = []

    def start(one: int, two: int) -> tuple[int, int]:
        tried.append((one, two))
        if len(tried) < 3:
            raise PortInUse("port", one, "choose another")
        return one, two

    assert on_free_ports(2, start) == tried[2]
    assert len(set(tried)) == 3


def test_start__on_a_machine_without_free_ports_says_so() -> None:
    """The tries have an end, and the last port is named."""
    tried = []

    def start(port: int) -> None:
        tried.append(port)
        raise PortInUse("port", port, "choose another")

    with pytest.raises(PortInUse) as refused:
        on_free_ports(1, start)
    assert len(tried) == TRIES
    assert refused.value.value == tried[-1]
