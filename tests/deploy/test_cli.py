"""The `millrace` command."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli import COMMANDS


def millrace(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment or None)


@pytest.mark.parametrize("command", COMMANDS)
def test_command__has_a_program(command):
    """Every command names a module that exists and can be run."""
    spec = importlib.util.find_spec(COMMANDS[command][0])

    assert spec is not None
    if spec.submodule_search_locations:
        assert importlib.util.find_spec(COMMANDS[command][0] + ".__main__") is not None


def test_help__one_line_for_each_command():
    """The help shows every command with what it does, and imports no room to do so."""
    lines = millrace("--help").stdout.splitlines()

    for command, (_, purpose) in COMMANDS.items():
        assert [line for line in lines if line.split()[:1] == [command] and line.endswith(purpose)]


def test_arguments_and_exit_code__are_the_rooms(tmp_path: Path):
    """Arguments go through as they are, and the exit code is the room's own."""
    done = millrace("kafka", "status", "--home", str(tmp_path))

    assert (done.returncode, done.stdout) == (1, f"no broker runs in {tmp_path}\n")


def test_bootstrap_servers__reach_the_room(tmp_path: Path):
    """The option before the command is the room's setting."""
    done = millrace("--bootstrap-servers", "kafka.example:1", "kafka", "start", "--home", str(tmp_path))

    assert done.returncode == 2
    assert "kafka.example:1" in done.stderr


def test_unknown_command():
    """A command that does not exist is an error."""
    assert millrace("kafak").returncode == 2
