"""The `millrace` command, and what all commands have in common.

`python -m tests.deploy.test_cli` writes docs/cli.md.
"""

from __future__ import annotations

import re
import resource
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from deploy.cli import COMMANDS, GROUPS
from tests.cli_page import commands

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/cli.md"
ALL = dict(commands())
SUMMARY_CHARACTERS = 60
HELP_CPU_SECONDS = 1.0  # 0.15 on a quiet core
# What takes a command 0.1 to 5 s to import.
LIBRARIES = {
    *("aiohttp", "aiokafka", "confluent_kafka", "datasets", "duckdb", "fastavro", "faust", "matplotlib", "numpy"),
    *("psutil", "pyarrow", "pydantic", "rich", "scipy", "sklearn", "torch", "transformers"),
}


def millrace(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment or None)


def program(path: str, *arguments: str) -> int:
    """Run a command's program in this process, as `millrace` would start it; return its exit code."""
    _, name, *subcommands = path.split()
    room, _ = COMMANDS[name]
    several = sum(room == other for other, _ in COMMANDS.values()) > 1
    sys.argv = [room, *([name] if several else []), *subcommands, *arguments]
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(str(import_module(room).__file__)).with_name("__main__.py")), run_name="__main__")
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """`program` sets the arguments of the process; each test gets its own back."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("COLUMNS", "80")


def test_help__shows_the_commands_in_four_groups():
    """Each command has one line below its group's heading, also in a terminal of 80 columns."""
    shown = millrace("--help", COLUMNS="80").stdout
    wanted = ""
    for heading, group in GROUPS.items():
        wanted += f"\n{heading}:\n" + "".join(f"  {name:<12}  {says}\n" for name, (_, says) in group.items())

    assert list(GROUPS) == ["Run", "Look", "Decide", "Data"]
    assert shown.endswith(wanted)


@pytest.mark.parametrize("path", ALL)
def test_command__says_in_a_short_sentence_what_it_does(path):
    """The first line of each help is a whole sentence of at most 60 characters; `millrace --help` says the same."""
    command = ALL[path].command
    first = (command.help or "").split("\n")[0]
    name = path.removeprefix("millrace ")

    assert first.endswith((".", "?"))
    assert len(first) <= SUMMARY_CHARACTERS
    assert first == COMMANDS.get(name, ("", first))[1]


@pytest.mark.parametrize("path", ALL)
def test_command__goes_by_the_name_that_people_type(path, capsys):
    """Help, the help's short form and a wrong option say `millrace COMMAND …`, and how the room is run nowhere."""
    codes = [program(path, option) for option in ("--help", "-h", "--no-such-option")]
    said = capsys.readouterr()

    assert codes == [0, 0, 2]
    assert re.findall(r"^Usage: (.*?) \[", said.out + said.err, re.MULTILINE) == [path] * 3
    assert "Error: No such option" in said.err
    assert not re.search(r"python|__main__|Traceback", said.out + said.err)


@pytest.mark.parametrize("path", [path for path, one in ALL.items() if isinstance(one.command, click.Group)])
def test_group__refuses_a_command_that_it_has_not(path, capsys):
    """A subcommand that does not exist is an error of one line, with exit code 2."""
    assert program(path, "no-such-command") == 2
    assert "Error: No such command 'no-such-command'." in capsys.readouterr().err


@pytest.mark.parametrize(
    "path", [path for path, one in ALL.items() if any(each.required for each in one.command.params)]
)
def test_command__asks_for_what_it_needs(path, capsys):
    """An argument or option that is missing is named, with exit code 2."""
    assert program(path) == 2
    assert re.search(r"^Error: Missing (argument|option) ", capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize("path", ALL)
def test_workload__is_named_in_one_way(path):
    """A command that asks for a workload takes it as its argument; -w where a file or a filter is the argument."""
    found = [each for each in ALL[path].command.params if each.name == "workload"]
    others = [each for each in ALL[path].command.params if isinstance(each, click.Argument) and each not in found]
    filters = path in ("millrace dead-letters list", "millrace simulate")

    for one in found:
        assert not one.required
        assert isinstance(one, click.Option) == bool(others or filters)
        assert one.opts == (["-w", "--workload"] if isinstance(one, click.Option) else ["workload"])


def test_help__imports_no_library():
    """What a command needs is imported when it is asked for: its help needs click alone."""
    rooms = sorted({room for room, _ in COMMANDS.values()})
    code = "".join(f"import {room}.__main__\n" for room in rooms)
    code += f"import sys\nprint(*[name for name in {LIBRARIES} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_help__costs_little(name):
    """The help of any command takes at most a second of CPU time: the bug was imports of up to 5.4 s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = millrace(name, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert done.stdout.startswith(f"Usage: millrace {name} [")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= HELP_CPU_SECONDS


def test_pages_and_messages__name_only_commands_and_options_that_exist():
    """Each `millrace …` that is written somewhere is a command, with options that it has."""
    folders = [ROOT / name for name in ("docs", "schemas", "streams", "trainers", "deploy", "benchmarks")]
    files = [file for folder in folders for kind in ("*.md", "*.py", "*.yml") for file in folder.rglob(kind)]
    said = [
        (file.name, line)
        for file in (ROOT / "README.md", *files)
        for line in re.findall(r"(?:`|^)millrace ([a-z][^`\n#]*)", file.read_text(), re.MULTILINE)
    ]

    assert len(said) > 100
    assert [one for one in said if not _exists(one[1].split())] == []


def _exists(words: list[str]) -> bool:
    """Say whether the words after `millrace` name a command, and only options of it."""
    path = " ".join(["millrace", words[0]])
    for word in words[1:]:
        path = f"{path} {word}" if f"{path} {word}" in ALL else path
    options = {word for word in words if re.match(r"--?[a-z]", word)}
    return path in ALL and options <= {"--help", *(name for each in ALL[path].command.params for name in each.opts)}


def test_arguments_and_exit_code__are_the_rooms(tmp_path: Path):
    """Arguments go through as they are, and the exit code is the room's own."""
    done = millrace("kafka", "status", "--home", str(tmp_path))

    assert done.returncode == 1
    assert done.stdout.startswith(f"no broker runs in {tmp_path}; `millrace up` keeps its own")


def test_bootstrap_servers__reach_the_room(tmp_path: Path):
    """The option before the command is the room's setting."""
    done = millrace("--bootstrap-servers", "kafka.example:1", "kafka", "start", "--home", str(tmp_path))

    assert done.returncode == 2
    assert "kafka.example:1" in done.stderr


def test_unknown_command():
    """A command that does not exist is an error."""
    assert millrace("kafak").returncode == 2
