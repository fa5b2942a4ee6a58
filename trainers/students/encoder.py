"""Encoder students: a BERT-type base with a LoRA adapter and its own head; and the same base untuned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from peft import get_peft_model
from sklearn.linear_model import LogisticRegression

from deploy.edge.stores.artefacts import StudentArtefact
from schemas.arrays import Floats, Ints
from schemas.errors import ContractError
from schemas.job import JobSpec, StudentSpec
from schemas.rules.statistics.calibration import fit_temperature, to_probabilities
from trainers.losses import distillation_loss
from trainers.progress import Progress
from trainers.snapshot import Rows
from trainers.students.lora import load_adapter, plain_lora, save_adapter
from trainers.students.network import Base, Network, load_bert
from trainers.students.protocol import FrozenBase, LoadedStudent, SavedStudent

_WARMUP: Final = 0.1  # share of the steps
_HEAD_STRENGTH: Final = 20.0  # C of the logistic regression the head starts from, on embeddings of mean norm 1
_ABSENT: Final = -10.0  # start bias of a class without training rows, below every other
_ZERO_SHOT_SCALE: Final = 20.0  # cosine to logit, as sentence-transformers train their models


class UntunedBase:
    """The base as it comes: zero-shot, by the similarity of a text's mean embedding to that of each label's name."""

    role = "base"
    name = "untuned (zero-shot similarity to the label names)"
    cost = 8.5  # of MiniLM

    def __init__(self, labels: Sequence[str], base: Base) -> None:
        self._network = base.network
        self._names = [label.replace("_", " ").replace("-", " ") for label in labels]

    @classmethod
    def of(cls, job: JobSpec, base: FrozenBase) -> Self:
        """Return the base of a job."""
        return cls(job.labels, bert(base))

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:  # noqa: ARG002 - that is its point
        """Learn nothing."""
        progress.say("base", message=self.name)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return class probabilities (texts, labels); no label was used to calibrate them."""
        return to_probabilities(self._embed(texts) @ self._embed(self._names).T * _ZERO_SHOT_SCALE, 1.0)

    def _embed(self, texts: Sequence[str]) -> Floats:
        mean = self._network.over(self._network.tokens(texts), self._network.mean)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


class EncoderStudent:
    """The base with a LoRA adapter, its head started from a logistic regression on the frozen embeddings."""

    role = "tuned"
    name = "encoder + LoRA"
    form = "sequence-classification"
    cost = 8.5  # of MiniLM, merged
    on_base = True

    def __init__(self, labels: int, spec: StudentSpec, base: Base) -> None:
        self._labels, self._spec, self._base = labels, spec, base
        self._network: Network
        self._temperature = 1.0

    @classmethod
    def of(cls, job: JobSpec, base: FrozenBase) -> Self:
        """Return the student of a job, its base not yet read."""
        return cls(len(job.labels), job.student, bert(base))

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:
        """Train, and keep the epoch that agrees most with the validation labels."""
        device = self._base.network.device
        tokenizer, model = load_bert(self._base.folder, self._labels, self._spec.seed, device)
        self._network = Network(tokenizer, model, self._spec.max_tokens, device)
        self._start_head(train)
        progress.say("train", message="head started from logistic regression on frozen embeddings")
        self._network.model = get_peft_model(model, plain_lora(self._spec.rank))
        weights = {name: p for name, p in self._network.model.named_parameters() if p.requires_grad}
        steps = self._spec.epochs * -(-len(train) // self._spec.batch)
        optimizer = torch.optim.AdamW(weights.values(), lr=self._spec.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _ramp(steps))
        best, kept, step = -1.0, {}, 0
        for epoch in range(1, self._spec.epochs + 1):
            for loss in self._epoch(train, epoch, list(weights.values()), optimizer):
                schedule.step()
                step += 1
                progress.say("train", step, steps, loss, f"epoch {epoch}")
            logits = self._logits(validation.texts)
            agreement = float(np.average(logits.argmax(axis=1) == validation.labels, weights=validation.weights))
            progress.say("train", message=f"epoch {epoch}: agreement on validation {agreement:.3f}")
            if agreement > best:
                best, kept = agreement, {name: p.detach().clone() for name, p in weights.items()}
                self._temperature = fit_temperature(logits, validation.labels, validation.weights)
        with torch.no_grad():
            for name, p in weights.items():
                p.copy_(kept[name])

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return calibrated class probabilities (texts, labels)."""
        return to_probabilities(self._logits(texts), self._temperature)

    def save(self) -> SavedStudent:
        """Return the adapter's files."""
        return save_adapter(self._network, self._base.name, self._temperature)

    @classmethod
    def load(cls, artefact: StudentArtefact, base: FrozenBase) -> LoadedStudent:
        """Return the student of an adapter's files, merged into the base.

        Raises:
            ContractError: they are not plain LoRA that fits the base.
        """
        return load_adapter(artefact, bert(base))

    def _logits(self, texts: Sequence[str]) -> Floats:
        self._network.model.eval()
        return self._network.over(self._network.tokens(texts), self._network.logits)

    def _start_head(self, train: Rows) -> None:
        with torch.inference_mode(), autocast(self._network.device):
            features = self._network.over(self._network.tokens(train.texts), self._network.features)
        scale = 1 / float(np.linalg.norm(features, axis=1).mean())
        weight, bias = _logistic(features * scale, train.labels, self._labels, self._spec.seed)
        head = self._network.model.classifier
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight * scale))
            head.bias.copy_(torch.from_numpy(bias))

    def _epoch(self, train: Rows, epoch: int, weights: list[Any], optimizer: torch.optim.Optimizer) -> Iterator[float]:
        network, spec = self._network, self._spec
        ids = network.tokens(train.texts)
        labels = torch.from_numpy(train.labels).to(network.device)
        soft = torch.from_numpy(train.soft).float().to(network.device)
        network.model.train()
        for rows in _batches([len(one) for one in ids], spec.batch, spec.seed + epoch):
            with autocast(network.device):
                logits = network.logits([ids[row] for row in rows])
            loss = distillation_loss(
                logits.float(), labels[rows], soft[rows],
                temperature=spec.temperature, soft_weight=spec.soft_label_weight,
            )  # fmt: skip
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            yield loss.item()


def bert(base: FrozenBase) -> Base:
    """Return the base as what encoders stand on.

    Raises:
        ContractError: it is of another kind.
    """
    if not isinstance(base, Base):
        raise ContractError(f"an encoder student needs a BERT-type base, {base.name} is none")
    return base


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return bf16 autocast where the hardware has it (x1.4 to 1.8 there, slower without), else fp32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        flags = Path("/proc/cpuinfo")
        fast = flags.is_file() and any(f" {flag}" in flags.read_text() for flag in ("avx512_bf16", "amx_bf16"))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


def _logistic(features: Floats, labels: Ints, classes: int, seed: int) -> tuple[Floats, Floats]:
    model = LogisticRegression(C=_HEAD_STRENGTH, max_iter=300, random_state=seed).fit(features, labels)
    weight, bias = np.zeros((classes, features.shape[1])), np.zeros(classes)
    if len(model.classes_) == 2:  # one score, for the second class
        weight[model.classes_[1]], bias[model.classes_[1]] = model.coef_[0], model.intercept_[0]
    else:
        weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    bias[np.setdiff1d(np.arange(classes), model.classes_)] = _ABSENT
    return weight, bias


def _batches(lengths: list[int], batch: int, seed: int) -> list[list[int]]:
    """Return batches of row numbers in random order, each of rows of like length: padding costs x3 on short texts."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lengths))
    pool = batch * 32
    found: list[list[int]] = []
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool].tolist(), key=lengths.__getitem__)
        found += [near[begin : begin + batch] for begin in range(0, len(near), batch)]
    return [found[number] for number in generator.permutation(len(found))]


def _ramp(steps: int) -> Any:
    warmup = max(1, round(steps * _WARMUP))
    return lambda step: min(1.0, (step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))
