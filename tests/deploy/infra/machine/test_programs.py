"""What is started on one machine, and with which settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.infra.machine.__main__ import main
from deploy.infra.machine.daemon import configuration, socket_path
from deploy.infra.machine.machine import Machine, environment_of
from deploy.infra.machine.programs import CONTROLLER, programs
from deploy.infra.machine.settings import MachineSettings
from schemas.errors import SettingsError

HOME = Path("/somewhere/machine")


def test_programs__start_before_what_needs_them() -> None:
    """The broker, then the topics, then those who read them; they stop the other way round."""
    names = [program.name for program in programs(MachineSettings.load(), ["--truth", "t.jsonl"], HOME)]

    assert names == ["teacher", "students", "broker", "topics", "worker", "dispatcher", "router"]


def test_programs__named_broker_is_not_started() -> None:
    """Where somebody names a broker, none of ours is started and all processes use that one."""
    settings = MachineSettings.load(bootstrap_servers="kafka.example:9092")
    found = programs(settings, None, HOME)

    assert "broker" not in {program.name for program in found}
    assert settings.addresses()["MILLRACE_BOOTSTRAP_SERVERS"] == "kafka.example:9092"


def test_programs__ports_differ_and_are_known_by_their_variables() -> None:
    """Every port is named by the variable that changes it, and no two defaults collide."""
    started = programs(MachineSettings.load(), ["--truth", "t.jsonl"], HOME)
    ports = [pair for program in started for pair in program.ports.items()]

    assert len({port for _, port in ports}) == len(ports) == 8
    named = {variable.removeprefix("MILLRACE_").lower() for variable, _ in ports if variable != CONTROLLER}
    assert named <= MachineSettings.model_fields.keys()


def test_machine__one_port_twice(tmp_path: Path) -> None:
    """Two processes on one port are reported with both variables before anything starts."""
    machine = Machine(tmp_path, MachineSettings.load(broker_port=21790, router_port=21791))

    with pytest.raises(SettingsError, match="MILLRACE_ROUTER_PORT = 21791: is also the port of MILLRACE_BROKER_PORT"):
        machine.start()


def test_settings__unknown_name() -> None:
    """A port by a name that does not exist is refused rather than silently the default."""
    with pytest.raises(SettingsError, match="ROUTR_PORT"):
        MachineSettings.load(routr_port=5)


def test_configuration__keeps_no_secret_and_opens_no_port(tmp_path: Path) -> None:
    """Secrets reach the processes by their environment alone; the daemon listens on its unix socket only."""
    settings = MachineSettings.load(sasl_password="hunter2", state_dir=Path("state"))
    text = configuration(tmp_path, programs(settings, None, tmp_path))

    assert "hunter2" not in text
    assert "inet_http_server" not in text
    assert environment_of(settings)["MILLRACE_SASL_PASSWORD"] == "hunter2"
    assert Path(environment_of(settings)["MILLRACE_STATE_DIR"]).is_absolute()


def test_socket__path_too_long() -> None:
    """A folder too deep for a unix socket is reported as such."""
    with pytest.raises(SettingsError, match="too long for a unix socket"):
        socket_path(Path("/" + "x" * 120))


def test_status__nothing_runs(tmp_path: Path) -> None:
    """`status` ends with 1 and shows every process as stopped."""
    result = CliRunner().invoke(main, ["status", "--home", str(tmp_path / "m")])

    assert result.exit_code == 1
    assert "stopped" in result.output


def test_down__nothing_runs(tmp_path: Path) -> None:
    """`down` where nothing runs is no mistake."""
    result = CliRunner().invoke(main, ["down", "--home", str(tmp_path / "m")])

    assert (result.exit_code, result.output) == (0, "nothing ran; none is left\n")


def test_logs__of_a_process_that_has_none(tmp_path: Path) -> None:
    """`logs` of an unknown process names those that there are."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "router.log").write_text("one\ntwo\n")
    unknown = CliRunner().invoke(main, ["logs", "rooter", "--home", str(tmp_path)])
    known = CliRunner().invoke(main, ["logs", "router", "-n", "1", "--home", str(tmp_path)])

    assert unknown.exit_code == 2
    assert "router" in unknown.stderr
    assert known.output == "two\n"


def test_machine__at_a_folder_where_nothing_runs(tmp_path: Path) -> None:
    """The machine of an empty folder is the one that the environment would start there."""
    assert {program.name for program in Machine.at(tmp_path).programs} >= {"worker", "router"}
