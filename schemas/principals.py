"""Who writes and reads topics: the names of the catalogue, of access lists and of Kafka's groups.

A person is none of them: whoever asks or decides does so by a command, and the command is the principal.
"""

from __future__ import annotations

from enum import StrEnum, auto


class Principal(StrEnum):
    """A process, a command, or somebody outside that writes or reads a topic."""

    # processes
    ROUTER = auto()
    CURATE = auto()
    LABEL = auto()
    WINDOW = auto()
    ROLLOUT = auto()  # the controller
    DISPATCHER = auto()
    WORKER = auto()  # around its stages: the gauges of each rollout

    # commands
    SIMULATE = auto()
    REPLAY = auto()
    DEAD_LETTERS = "dead-letters"
    VERIFY = auto()
    TRACE = auto()
    ERASE = auto()
    GOLD = auto()
    LABELS = auto()
    CEILING = auto()
    SUSPECTS = auto()
    TRIGGERS = auto()
    ROLLOUT_COMMAND = "rollout-command"  # `millrace rollout`
    DEMO = auto()

    # outside
    APPLICATION = auto()
    OTHER_TEAMS = "other-teams"


class TopicAccess(StrEnum):
    """What a principal does with a topic."""

    WRITE = "write"
    CONSUME = "consume"  # in a group: its offsets are committed with what comes of the records
    READ = "read"  # the topic as it is, without a group
    REBUILD = "read back"  # to rebuild its own state, without a group
