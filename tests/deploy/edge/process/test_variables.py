"""Every `MILLRACE_…` variable is known, ignored on purpose, or refused by name."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.edge.process import variables
from deploy.edge.process.settings import Settings
from deploy.edge.process.variables import UnknownVariable, unknown
from deploy.infra.ports import PortInUse, on_free_ports

ROOT = Path(__file__).parents[4]
NOWHERE = Path("no-such-folder")
OWN_PORTS = sorted(
    variables.variable(name)
    for cls in variables.settings_classes().values()
    for name in cls.model_fields
    if name.endswith("_port")
)
# What Kubernetes sets for a Service named millrace-metrics, and for one named millrace.
SERVICE = {
    "MILLRACE_METRICS_SERVICE_HOST": "10.3.2.1",
    "MILLRACE_METRICS_SERVICE_PORT": "9101",
    "MILLRACE_METRICS_SERVICE_PORT_HTTP": "9101",
    "MILLRACE_METRICS_SERVICE_PORT_HTTP_2": "9101",
    "MILLRACE_METRICS_PORT": "tcp://10.3.2.1:9101",
    "MILLRACE_METRICS_PORT_9101_TCP": "tcp://10.3.2.1:9101",
    "MILLRACE_METRICS_PORT_9101_TCP_PROTO": "tcp",
    "MILLRACE_METRICS_PORT_9101_TCP_PORT": "9101",
    "MILLRACE_METRICS_PORT_9101_TCP_ADDR": "10.3.2.1",
    "MILLRACE_METRICS_PORT_53_UDP": "udp://10.3.2.1:53",
    "MILLRACE_METRICS_PORT_53_UDP_PROTO": "udp",
    "MILLRACE_METRICS_PORT_53_UDP_PORT": "53",
    "MILLRACE_METRICS_PORT_53_UDP_ADDR": "fd00::1",
    "MILLRACE_METRICS_PORT_36412_SCTP": "sctp://10.3.2.1:36412",
    "MILLRACE_METRICS_PORT_36412_SCTP_PROTO": "sctp",
    "MILLRACE_METRICS_PORT_36412_SCTP_PORT": "36412",
    "MILLRACE_METRICS_PORT_36412_SCTP_ADDR": "10.3.2.1",
    "MILLRACE_SERVICE_HOST": "10.3.2.1",
    "MILLRACE_SERVICE_PORT": "8000",
    "MILLRACE_PORT": "tcp://[fd00::1]:8000",
    "MILLRACE_PORT_8000_TCP": "tcp://10.3.2.1:8000",
    "MILLRACE_ANYTHING_ELSE_PORT": "tcp://10.3.2.1:80",
}


def test_classes__are_all_there_are() -> None:
    """The table of processes names every class of settings in the product, and no other."""
    found = {"deploy.edge.process.settings:Settings"}
    for floor in ("deploy", "streams", "trainers"):
        for file in (ROOT / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef) and "Settings" in {ast.unparse(base) for base in node.bases}:
                    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
                    found.add(f"{module}:{node.name}")

    assert found == set(variables.CLASSES.values())


def test_classes__cost_no_library() -> None:
    """Finding out which variables there are imports settings, and nothing that a room works with."""
    heavy = ("torch", "faust", "duckdb", "confluent_kafka", "aiokafka", "aiohttp", "fastavro", "requests")
    program = (
        "import sys; from deploy.edge.process import variables; variables.settings_classes(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "value"), SERVICE.items())
def test_unknown__service_of_kubernetes(name: str, value: str) -> None:
    """What Kubernetes sets for a Service is nobody's mistake, in each of its forms."""
    assert unknown({name: value}, NOWHERE) == []


@pytest.mark.parametrize("name", OWN_PORTS)
def test_service__is_called_like_a_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service named millrace-router stops no process: each class has its default, as if nothing were set."""
    monkeypatch.setenv(name, "tcp://10.3.2.1:8000")
    field = name.removeprefix(variables.PREFIX).lower()
    classes = [cls for cls in variables.settings_classes().values() if field in cls.model_fields]

    assert classes
    for cls in classes:
        settings = cls.load()
        assert field not in settings.model_fields_set
        assert getattr(settings, field) == cls.model_fields[field].default


def test_setting__is_called_like_no_service() -> None:
    """No setting has a name that is ignored whatever it holds."""
    names = [variables.variable(name) for cls in variables.settings_classes().values() for name in cls.model_fields]

    assert [name for name in names if variables.is_service_address(name, "8000")] == []


def test_unknown__name_of_ours_with_a_number_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an address is a Service's: a port that somebody sets is theirs."""
    monkeypatch.setenv("MILLRACE_METRICS_PORT", "9109")

    assert Settings.load().metrics_port == 9109


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MILLRACE_ROUTR_PORT", "did you mean MILLRACE_ROUTER_PORT? Rename or unset it"),
        ("MILLRACE_STATEDIR", "did you mean MILLRACE_STATE_DIR?"),
        ("MILLRACE_HSOT", "did you mean MILLRACE_HOST?"),
        ("millrace_routr_port", "did you mean MILLRACE_ROUTER_PORT?"),
        ("MILLRACE_BOOTSTRAP_URL", "the nearest known name is MILLRACE_BOOTSTRAP_SERVERS; `millrace doctor` shows all"),
    ],
)
def test_unknown__name_of_nobody(name: str, said: str) -> None:
    """A name that no process reads is reported with the nearest that one reads; up to two letters off it was meant."""
    (found,) = unknown({name: "x"}, NOWHERE)

    assert str(found).startswith(f"{name}: no process of Millrace reads this variable; ")
    assert said in str(found)


def test_unknown__value_is_not_shown() -> None:
    """A misspelt secret is not spread by the message that names it."""
    (found,) = unknown({"MILLRACE_SASL_PASWORD": "tell-nobody"}, NOWHERE)

    assert "MILLRACE_SASL_PASSWORD" in str(found)
    assert "tell-nobody" not in repr(found) + str(found)


def test_unknown__known_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What some process reads is known to all, in any case, and so is what the tests set."""
    names = {
        variables.variable(name): "1" for cls in variables.settings_classes().values() for name in cls.model_fields
    }

    assert unknown(names | dict.fromkeys(variables.OTHERS, "1"), NOWHERE) == []
    assert unknown({"millrace_stall_seconds": "1", "MILLRACE_TEST_ANYTHING": "1", "PATH": "/bin"}, NOWHERE) == []
    monkeypatch.setenv("millrace_topic_prefix", "mine.")
    assert Settings.load().topic_prefix == "mine."


@pytest.mark.parametrize(
    "text",
    [
        '[teacher]\napi_key_env = "MILLRACE_OUR_KEY"\n',
        "[privacy]\ntoken_key_env='MILLRACE_OUR_KEY'\n",
        'teacher = { api_key_env = "MILLRACE_OUR_KEY" }\n',
        '[teacher\napi_key_env = "MILLRACE_OUR_KEY"\n',
    ],
)
def test_unknown__name_in_a_workload_file(text: str, tmp_path: Path) -> None:
    """A name that a workload file refers to is the user's own, also while the file has a mistake."""
    (tmp_path / "news.toml").write_text(text)
    found = unknown({"MILLRACE_OUR_KEY": "secret", "MILLRACE_YOUR_KEY": "secret"}, tmp_path)

    assert [mistake.field for mistake in found] == ["MILLRACE_YOUR_KEY"]


def test_load__command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command refuses a misspelt variable; a process that stays reads its settings all the same."""
    monkeypatch.setenv("MILLRACE_ROUTR_PORT", "8100")

    assert Settings.load_to_stay().host == "127.0.0.1"
    with pytest.raises(UnknownVariable, match="MILLRACE_ROUTER_PORT"):
        Settings.load()


def test_load__command_with_a_name_far_from_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that resembles none of ours is somebody's own: one line of warning, and the command goes on."""
    monkeypatch.setenv("MILLRACE_BACKUP_BUCKET", "mine")

    assert Settings.load().host == "127.0.0.1"
    assert capsys.readouterr().err.startswith("warning: MILLRACE_BACKUP_BUCKET: no process of Millrace reads")


@pytest.mark.parametrize("command", [["window", "show"], ["topics", "apply"], ["status"]])
def test_command__with_a_variable_that_no_process_reads(command: list[str], tmp_path: Path) -> None:
    """A command ends with code 2 and one line, before it reaches for anything."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *command], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MILLRACE_ROUTR_PORT": "8100", "MILLRACE_SERVICE_HOST": "10.3.2.1"},
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(
        "error: MILLRACE_ROUTR_PORT: no process of Millrace reads this variable; did you mean"
    )
    assert len(done.stderr.splitlines()) == 1


def test_router__under_kubernetes_with_a_misspelt_variable(tmp_path: Path) -> None:
    """A process that stays warns in its log and starts; the address of a Service like its setting stops nothing."""
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads/news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')
    given = SERVICE | {
        "MILLRACE_ROUTER_PORT": "tcp://10.3.2.1:8000",
        "MILLRACE_STATEDIR": "state",
        "MILLRACE_LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }

    def start(port: int) -> tuple[int, list[dict[str, str]]]:
        return port, _said_at_start(port, tmp_path, os.environ | given)

    port, said = on_free_ports(1, start)

    assert [line["level"] for line in said] == ["WARNING", "INFO"]
    assert said[0]["message"].startswith("MILLRACE_STATEDIR: no process of Millrace reads this variable; did you mean")
    assert said[1]["message"] == f"router on 127.0.0.1:{port} for news"


def _said_at_start(port: int, folder: Path, environment: dict[str, str]) -> list[dict[str, str]]:
    """Return the log of a router on a port, admin on the one above, up to the line that says where it is."""
    ports = ["--port", str(port), "--admin-port", str(port + 1)]
    command = [sys.executable, "-m", "deploy.serve.router", *ports]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment) as router:
        assert router.stderr is not None
        said = []
        for line in router.stderr:
            if "choose another port" in line:
                raise PortInUse("port", port, line)
            said.append(json.loads(line))
            if said[-1]["message"].startswith("router on"):
                break
        router.kill()
    return said
