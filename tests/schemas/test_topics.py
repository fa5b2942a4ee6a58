"""The catalogue is kept: who is not in it is refused, who is in it is there, and what is made from it follows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas.topics
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import TopicNames
from deploy.serve.router.capture import Capture
from deploy.serve.router.settings import RouterSettings
from schemas.errors import ContractError
from schemas.principals import Principal, TopicAccess
from schemas.topics import CATALOGUE, STAGES, TRAFFIC, Topic, allowed
from streams.core.rebuild import OwnTopics
from streams.core.stage import Output
from streams.core.transaction import Transactions
from streams.settings import WorkerSettings
from tests.streams.doubles import label

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = Settings(bootstrap_servers="127.0.0.1:1", topic_prefix="t.")
WORKER: Final = WorkerSettings(bootstrap_servers="127.0.0.1:1", topic_prefix="t.")
OUTSIDE: Final = {Principal.APPLICATION, Principal.OTHER_TEAMS}
# Where the code of each principal is; all but the demo name each topic that they touch.
ROOMS: Final = {
    Principal.ROUTER: "deploy/serve/router",
    Principal.CURATE: "streams/curate",
    Principal.LABEL: "streams/label",
    Principal.WINDOW: "streams/window",
    Principal.ROLLOUT: "streams/rollout",
    Principal.DISPATCHER: "trainers",
    Principal.WORKER: "streams/app.py",
    Principal.SIMULATE: "deploy/trial/simulate",
    Principal.REPLAY: "deploy/trial/simulate",
    Principal.DEAD_LETTERS: "deploy/commands/dead_letters",
    Principal.VERIFY: "deploy/commands/verify",
    Principal.TRACE: "deploy/commands/verify",
    Principal.ERASE: "deploy/commands/erase",
    Principal.GOLD: "deploy/commands/gold",
    Principal.LABELS: "deploy/commands/labels",
    Principal.CEILING: "streams/second_answers",
    Principal.SUSPECTS: "streams/second_answers",
    Principal.TRIGGERS: "deploy/commands/triggers",
    Principal.ROLLOUT_COMMAND: "deploy/commands/rollout",
    Principal.DEMO: "deploy/trial/demo",
}
SHARED: Final = "streams/core"  # of all stages: dead letters have one maker
# The demo looks at all there is; for `millrace dead-letters show` any topic may be the one that a letter names.
WHOLE_CATALOGUE: Final = {Principal.DEMO, Principal.DEAD_LETTERS}
BY_NAME: Final = {topic.name: topic for topic in CATALOGUE}
CONSTANTS: Final = {name: topic for name, topic in vars(schemas.topics).items() if isinstance(topic, Topic)}


def nodes(*places: str) -> Iterator[ast.AST]:
    """Yield what code is made of, of files and folders."""
    for place in places:
        path = ROOT / place
        for file in path.rglob("*.py") if path.is_dir() else [path]:
            yield from ast.walk(ast.parse(file.read_text()))


def named_in(*places: str) -> set[Topic]:
    """Return the topics that code names, by constant or by their names."""
    found: set[Topic] = set()
    for node in nodes(*places):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in CONSTANTS:
                found.add(CONSTANTS[name])
            case ast.Constant(value=str(text)) if text in BY_NAME:
                found.add(BY_NAME[text])
    return found


def test_principals__are_all_somewhere():
    """A principal without code, or code without its principal, would leave the catalogue untrue."""
    assert ROOMS.keys() | OUTSIDE == set(Principal)
    assert set(CONSTANTS.values()) == set(CATALOGUE)


@pytest.mark.parametrize("principal", sorted(set(ROOMS) - WHOLE_CATALOGUE))
def test_catalogue__gives_nobody_a_topic_that_is_not_used(principal):
    """Whoever may write or read a topic names it in the code."""
    given_ = {topic for access in TopicAccess for topic in allowed(principal, access)}
    own = set(STAGES.get(principal, ()))  # named by the catalogue itself

    shared = [SHARED] if own else []

    assert given_ <= named_in(ROOMS[principal], *shared) | own


@given(st.sampled_from(Principal), st.sampled_from(TopicAccess), st.sampled_from(CATALOGUE))
def test_topic_names__refuse_what_the_catalogue_does_not_give(principal, access, topic):
    """The name of a topic is had by who may have it; who may not hears who, what and where to change it."""
    names = TopicNames(SETTINGS, principal, access)
    if principal in topic.principals(access):
        assert names[topic] == f"t.{topic.name}"
    else:
        with pytest.raises(ContractError, match=f"{principal} may not {access} {topic.name}: schemas/topics.py"):
            names[topic]


def test_topic_names__are_the_only_way_to_a_topic():
    """Who could put a name together by itself could pass the catalogue by: only who makes topics may."""
    files = [file for room in ("deploy", "streams", "trainers") for file in (ROOT / room).rglob("*.py")]
    users = {
        str(file.relative_to(ROOT))
        for file in files
        if any(getattr(node, "id", getattr(node, "attr", "")) == "topic_name" for node in nodes(str(file)))
    }

    assert users == {"deploy/edge/topics/clients.py", "deploy/edge/topics/framing.py", "deploy/infra/kafka/topics.py"}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage is not Principal.DISPATCHER])
def test_transactions__refuse_what_a_stage_may_not_write(stage):
    """A stage's outputs are encoded for its topics alone."""
    one = Transactions(WORKER, stage, "instance")
    record = label(1, "other")
    for topic in CATALOGUE:
        outputs = [Output(topic, 0, "news", record)]
        if stage in topic.writers:
            assert one.encode(outputs).batches.keys() == {(f"t.{topic.name}", 0)}
        else:
            with pytest.raises(ContractError, match=f"{stage} may not write {topic.name}"):
                one.encode(outputs)
    one.close()


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage is not Principal.DISPATCHER])
def test_rebuild__refuses_what_a_stage_may_not_read_back(stage):
    """What a state is rebuilt from is in the catalogue."""
    reader = OwnTopics(WORKER, stage, {})
    for topic in set(CATALOGUE) - set(allowed(stage, TopicAccess.REBUILD)):
        with pytest.raises(ContractError, match=f"{stage} may not read back {topic.name}"):
            next(reader.read(topic, 0))


def test_capture__refuses_what_the_router_may_not_write():
    """The refusal meets the caller, not the thread that sends."""
    capture = Capture(RouterSettings(bootstrap_servers="127.0.0.1:1"))
    for topic in set(CATALOGUE) - set(allowed(Principal.ROUTER, TopicAccess.WRITE)):
        with pytest.raises(ContractError, match=f"router may not write {topic.name}"):
            capture.offer(topic, "news", label(1, "other"))

    assert capture._queue.empty()
    capture._stopping.set()


def test_traffic__is_read_raw_by_few():
    """The one topic with personal data has the readers it must have, and no other."""
    readers = TRAFFIC.consumers | TRAFFIC.readers | TRAFFIC.rebuilds

    assert readers == {Principal.CURATE, Principal.VERIFY, Principal.TRACE, Principal.ERASE, Principal.DEAD_LETTERS,
                       Principal.DEMO}  # fmt: skip
