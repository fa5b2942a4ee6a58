"""Encoder students: a BERT-type base, mean-pooled, with a LoRA adapter and its own head; and the same base untuned.

The forward pass is a contract with the student server: masked mean of the last hidden state, `pooler.dense` fixed to
0.2 times the identity so that its tanh stays nearly linear, then the classifier. It stays a plain
`BertForSequenceClassification` that vLLM serves with MEAN pooling. The pooler never takes LoRA weights: servers drop
them without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

from schemas.arrays import Floats, Ints
from schemas.errors import SettingsError
from schemas.job import StudentSpec
from schemas.rules.statistics.calibration import fit_temperature, to_probabilities
from trainers.losses import distillation_loss
from trainers.progress import Progress
from trainers.snapshot import Rows

POOLING: Final = "mean"
TARGETS: Final = ("dense", "key", "query", "value")
HEAD: Final = "classifier"
_POOLER: Final = 0.2
_INFERENCE_BATCH: Final = 64
_LENGTH_STEP: Final = 8  # a new length costs a CPU some 0.7 s of kernel building, so few lengths are used
_WARMUP: Final = 0.1  # share of the steps
_HEAD_STRENGTH: Final = 20.0  # C of the logistic regression the head starts from, on embeddings of mean norm 1
_ABSENT: Final = -10.0  # start bias of a class without training rows, below every other
_ZERO_SHOT_SCALE: Final = 20.0  # cosine to logit, as sentence-transformers train their models

# B rows, L tokens, H hidden, K classes.


def load_bert(folder: Path, labels: int, seed: int, device: torch.device) -> tuple[Any, Any]:
    """Return tokenizer and model of a base with the fixed pooler and a fresh head.

    Raises:
        SettingsError: it is not a BERT-type model.
    """
    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if kind != "bert":
        raise SettingsError("base_model", str(folder), f"is of type {kind}; an encoder student needs a BERT-type model")
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model: Any = BertForSequenceClassification.from_pretrained(
        folder, num_labels=labels, local_files_only=True, use_safetensors=True, dtype=torch.float32,
        attention_probs_dropout_prob=0.0,  # the fused attention of a CPU has no dropout
    )  # fmt: skip
    with torch.no_grad():
        model.bert.pooler.dense.weight.copy_(torch.eye(model.config.hidden_size) * _POOLER)
        model.bert.pooler.dense.bias.zero_()
    return tokenizer, model.to(device).eval()


class Network:
    """A tokenizer and a model on a device: texts in, embeddings or logits out."""

    def __init__(self, tokenizer: Any, model: Any, max_tokens: int, device: torch.device) -> None:
        self.tokenizer, self.model, self.max_tokens, self.device = tokenizer, model, max_tokens, device

    @property
    def bert(self) -> Any:
        """The `BertForSequenceClassification` inside, with or without an adapter around it."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, truncated."""
        ids: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"]
        return ids

    def mean(self, ids: Sequence[list[int]]) -> Tensor:
        """Return the masked mean of the last hidden state (B, H) of rows of token ids."""
        batch = self.tokenizer.pad(
            {"input_ids": list(ids)}, padding=True, pad_to_multiple_of=_LENGTH_STEP, return_tensors="pt"
        ).to(self.device)
        mask = batch["attention_mask"]  # (B, L)
        hidden = self.bert.bert(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state  # (B, L, H)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        mean: Tensor = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
        return mean

    def features(self, ids: Sequence[list[int]]) -> Tensor:
        """Return what the head sees (B, H)."""
        return torch.tanh(self.bert.bert.pooler.dense(self.mean(ids)))

    def logits(self, ids: Sequence[list[int]]) -> Tensor:
        """Return the logits (B, K)."""
        logits: Tensor = self.bert.classifier(self.bert.dropout(self.features(ids)))
        return logits

    @torch.inference_mode()
    def over(self, texts: Sequence[str], forward: Any) -> Floats:
        """Return forward(token ids) of all texts in their order, in fp32, short texts with short ones."""
        self.model.eval()
        ids = self.tokens(texts)
        order = np.argsort([len(one) for one in ids], kind="stable")
        parts = [
            forward([ids[row] for row in order[start : start + _INFERENCE_BATCH]]).float().cpu().numpy()
            for start in range(0, len(ids), _INFERENCE_BATCH)
        ]
        found = np.concatenate(parts).astype(np.float64)
        return np.asarray(found[np.argsort(order, kind="stable")])


class UntunedBase:
    """The base as it comes: zero-shot, by the similarity of a text's mean embedding to that of each label's name."""

    name = "base: untuned (zero-shot similarity to the label names)"

    def __init__(self, folder: Path, labels: list[str], spec: StudentSpec, device: torch.device) -> None:
        self._network = Network(*load_bert(folder, len(labels), spec.seed, device), spec.max_tokens, device)
        self._labels = self._embed([label.replace("_", " ").replace("-", " ") for label in labels])

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:
        """Learn nothing: that is its point."""

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return class probabilities (texts, labels); no label was used to calibrate them."""
        return to_probabilities(self._embed(texts) @ self._labels.T * _ZERO_SHOT_SCALE, 1.0)

    def _embed(self, texts: Sequence[str]) -> Floats:
        mean = self._network.over(texts, self._network.mean)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


class EncoderStudent:
    """The base with a LoRA adapter, its head started from a logistic regression on the frozen embeddings."""

    name = "encoder + LoRA"

    def __init__(self, folder: Path, labels: int, spec: StudentSpec, device: torch.device) -> None:
        self._spec, self._labels, self.temperature = spec, labels, 1.0
        tokenizer, bert = load_bert(folder, labels, spec.seed, device)
        self.network = Network(tokenizer, bert, spec.max_tokens, device)

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:
        """Train, and keep the epoch that agrees most with the validation labels."""
        self._start_head(train)
        progress.say("train", message="head started from logistic regression on frozen embeddings")
        self.network.model = get_peft_model(self.network.model, self._lora())
        weights = {name: p for name, p in self.network.model.named_parameters() if p.requires_grad}
        steps = self._spec.epochs * -(-len(train) // self._spec.batch)
        optimizer = torch.optim.AdamW(weights.values(), lr=self._spec.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _ramp(steps))
        best, kept, step = -1.0, {}, 0
        for epoch in range(1, self._spec.epochs + 1):
            for loss in self._epoch(train, epoch, list(weights.values()), optimizer):
                schedule.step()
                step += 1
                progress.say("train", step, steps, loss, f"epoch {epoch}")
            logits = self.network.over(validation.texts, self.network.logits)
            agreement = float(np.average(logits.argmax(axis=1) == validation.labels, weights=validation.weights))
            progress.say("train", message=f"epoch {epoch}: agreement on validation {agreement:.3f}")
            if agreement > best:
                best, kept = agreement, {name: p.detach().clone() for name, p in weights.items()}
                self.temperature = fit_temperature(logits, validation.labels, validation.weights)
        with torch.no_grad():
            for name, p in weights.items():
                p.copy_(kept[name])

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return calibrated class probabilities (texts, labels)."""
        return to_probabilities(self.network.over(texts, self.network.logits), self.temperature)

    def _lora(self) -> LoraConfig:
        return LoraConfig(
            task_type="SEQ_CLS", r=self._spec.rank, lora_alpha=2 * self._spec.rank, lora_dropout=0.0,
            target_modules=list(TARGETS), exclude_modules=r".*pooler.*", modules_to_save=[HEAD],
        )  # fmt: skip

    def _start_head(self, train: Rows) -> None:
        with torch.inference_mode(), autocast(self.network.device):
            features = self.network.over(train.texts, self.network.features)
        scale = 1 / float(np.linalg.norm(features, axis=1).mean())
        weight, bias = _logistic(features * scale, train.labels, self._labels, self._spec.seed)
        head = self.network.model.classifier
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight * scale))
            head.bias.copy_(torch.from_numpy(bias))

    def _epoch(self, train: Rows, epoch: int, weights: list[Any], optimizer: torch.optim.Optimizer) -> Iterator[float]:
        network, spec = self.network, self._spec
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


def load_student(adapter: Path, base: Path, labels: int, max_tokens: int, device: torch.device) -> Network:
    """Return the network of an adapter's folder on its base, as a server would load it."""
    tokenizer, bert = load_bert(base, labels, 0, device)
    return Network(tokenizer, PeftModel.from_pretrained(bert, str(adapter)).eval(), max_tokens, device)


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
