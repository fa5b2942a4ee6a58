"""What the worker shows of `model-state`: gauges of each workload's rollout."""

from __future__ import annotations

import logging
from typing import Any

import faust
from aiokafka.helpers import create_ssl_context
from prometheus_client import Gauge

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import Framing
from schemas.errors import RecordRejected, Unavailable
from schemas.events import ModelState

WEIGHT = Gauge("millrace_rollout_weight_ratio", "Share of requests assigned to the challenger.", ["workload"])
STEP = Gauge("millrace_rollout_step", "Step of the rollout in flight; -1 without one.", ["workload"])
EPOCH = Gauge("millrace_model_state_epoch", "Epoch of the model line.", ["workload"])
CHAMPION = Gauge(
    "millrace_champion_is_student",
    "1 where a student is the champion, 0 where the teacher is.",
    ["workload"],
)

log = logging.getLogger("millrace.worker.model_state")


def show(value: bytes | None, framing: Framing) -> None:
    """Set the gauges of one state."""
    if value is None:
        return
    try:
        state = framing.decode(ModelState, value)
    except (RecordRejected, Unavailable) as error:
        log.warning("a model-state record cannot be read: %s", error)
        return
    WEIGHT.labels(state.workload).set(state.weight)
    STEP.labels(state.workload).set(state.step)
    EPOCH.labels(state.workload).set(state.epoch)
    CHAMPION.labels(state.workload).set(state.champion is not None)


def credentials(settings: Settings) -> Any:
    """Return the settings' security as Faust wants it."""
    context = create_ssl_context(cafile=str(settings.ssl_ca_file) if settings.ssl_ca_file else None)
    if settings.security_protocol == "SSL":
        return faust.SSLCredentials(context=context)
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value() if settings.sasl_password else None,
            mechanism=settings.sasl_mechanism,
            ssl_context=context if settings.security_protocol == "SASL_SSL" else None,
        )
    return None
