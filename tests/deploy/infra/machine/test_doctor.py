"""What `millrace doctor` says of a machine that lacks something."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.edge.process.settings import Settings
from deploy.infra.kafka import jars
from deploy.infra.machine import doctor
from deploy.infra.machine.__main__ import main
from deploy.infra.machine.init import write

NOBODY = "127.0.0.1:1"  # no broker is there


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker, no jars, and one workload whose base model is a folder without weights."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    workload = write("news", tmp_path / "workloads")
    workload.write_text(f'name = "news"\nlabels = ["a", "b"]\n[student]\nbase_model = "{base}"\n')
    monkeypatch.setattr(doctor, "_CONNECT_SECONDS", 0.2)  # nobody is there, however long one waits
    monkeypatch.setenv("MILLRACE_BOOTSTRAP_SERVERS", NOBODY)
    monkeypatch.setenv("MILLRACE_JARS_DIR", str(tmp_path / "jars"))
    monkeypatch.setenv("MILLRACE_WORKLOADS_DIR", str(tmp_path / "workloads"))


def finding(mark: str, result: Result, what: str) -> str:
    """Return the one line with this mark about this thing, and see that the exit code fits the marks."""
    lines = result.output.splitlines()
    lacking = sum(line.startswith("missing ") for line in lines)
    assert result.exit_code == (1 if lacking else 0)
    assert lines[-1] == (f"{lacking} missing" if lacking else "nothing is missing")
    (line,) = (line for line in lines if line.startswith(f"{mark:<8} {what}"))
    return line


def diagnose() -> Result:
    return CliRunner().invoke(main, ["doctor"], catch_exceptions=False)


def test_doctor__base_model_without_weights(tmp_path: Path):
    """A base model that cannot be loaded is missing, and it is said what its folder lacks."""
    assert "lacks tokenizer.json, *.safetensors" in finding("missing", diagnose(), f"base model {tmp_path / 'base'}")


def test_doctor__workloads_folder_with_a_typo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder that is not there is named, with the command that makes a workload."""
    monkeypatch.setenv("MILLRACE_WORKLOADS_DIR", str(tmp_path / "worklods"))

    line = finding("missing", diagnose(), "workloads")

    assert str(tmp_path / "worklods") in line
    assert "millrace init" in line


def test_doctor__workload_file_with_a_typo(tmp_path: Path):
    """A misspelt key of a workload file is named, with the key that was meant."""
    (tmp_path / "workloads/news.toml").write_text('name = "news"\nlabels = ["a", "b"]\n[teacher]\nmay_trian = true\n')

    line = finding("missing", diagnose(), "workloads")

    assert "may_trian" in line
    assert "may_train" in line.replace("may_trian", "")


def test_doctor__package_jar_and_key_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is not installed, not whole or not exported is missing, each with how to get it, all in one run."""
    monkeypatch.setitem(doctor.EXTRAS, "ghost", "millrace_no_such_module")
    (tmp_path / "jars").mkdir()
    for jar in jars.of_broker():
        (tmp_path / "jars" / jar.file).touch()
    with (tmp_path / "workloads/news.toml").open("a") as file:
        file.write('[teacher]\napi_key_env = "MILLRACE_TEST_NO_SUCH_KEY"\n')
        file.write('[privacy]\ntoken_key_env = "MILLRACE_TEST_NO_SUCH_KEY"\n')

    result = diagnose()

    assert "pip install 'millrace[ghost]'" in finding("missing", result, "millrace[ghost]")
    assert f"delete {tmp_path / 'jars'}" in finding("missing", result, "Kafka's jars")
    assert "export the key" in finding("missing", result, "teacher of news")
    assert "export the key" in finding("missing", result, "privacy of news")


def test_doctor__what_comes_by_itself_is_a_note():
    """No broker, and jars that the first start fetches, are reported and are nothing missing."""
    result = diagnose()

    assert "`millrace kafka start`" in finding("note", result, "broker")
    assert "the first start fetches them" in finding("note", result, "Kafka's jars")


def test_doctor__teacher_that_cannot_be_asked(tmp_path: Path):
    """A teacher's host that is not allowed is missing, with the variable; one where nobody listens is a note."""
    file = tmp_path / "workloads/news.toml"
    bare = file.read_text()
    file.write_text(f'{bare}[teacher]\nurl = "http://127.0.0.1:1/v1"\nmay_train = true\n')
    absent = finding("note", diagnose(), "teacher of news")
    file.write_text(f'{bare}[teacher]\nurl = "https://teacher.example.com/v1"\n')
    forbidden = finding("missing", diagnose(), "teacher of news")

    assert "nobody listens at http://127.0.0.1:1/v1 -> start it" in absent
    assert "add it to MILLRACE_ALLOWED_HOSTS" in forbidden


def test_doctor__origin_of_each_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each setting is shown with its value and where it comes from; a secret's value is not shown."""
    monkeypatch.delenv("MILLRACE_LOG_LEVEL", raising=False)
    monkeypatch.setenv("MILLRACE_SASL_PASSWORD", "tell-nobody")

    found = {variable: (value, origin) for variable, value, origin in doctor.origins(Settings.load())}

    assert set(found) == {f"MILLRACE_{name.upper()}" for name in Settings.model_fields}
    assert found["MILLRACE_WORKLOADS_DIR"] == (str(tmp_path / "workloads"), "environment")
    assert found["MILLRACE_LOG_LEVEL"] == ("INFO", "default")
    assert "tell-nobody" not in str(found)
    assert found["MILLRACE_SASL_PASSWORD"][1] == "environment"
