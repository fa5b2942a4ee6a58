"""A tiny random BERT base, adapters that peft makes on it, and servers on free ports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch
from aiohttp.test_utils import TestClient, TestServer
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers as tokenizer_trainers
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from deploy.edge.stores.base_models import base_digest
from deploy.serve.students.routes import LoadedStudents, application
from schemas.manifest import MANIFEST, FileDigest, StudentManifest, canonical
from trainers.students.ladder import load_base
from trainers.students.protocol import FrozenBase

WORDS = [
    "acme",
    "globex",
    "profit",
    "loss",
    "shares",
    "rise",
    "fall",
    "dividend",
    "raises",
    "cuts",
    "guidance",
    "outlook",
    "merger",
    "deal",
    "ceo",
    "strike",
    "court",
]
TEXTS = [" ".join(WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(3 + i % 9)) for i in range(16)]
Edit = Callable[[Path], None]


@dataclass(frozen=True)
class Adapter:
    """An adapter on disk, with the peft model it was saved from as its reference."""

    name: str
    path: Path
    labels: list[str]
    model: Any
    tokenizer: Any
    manifest: StudentManifest

    def reference(self, texts: Sequence[str]) -> list[list[float]]:
        """Class probabilities straight from transformers and peft, one text at a time."""
        return [_probabilities(self.model, self.tokenizer, text, self.manifest) for text in texts]

    def body(self) -> dict[str, str]:
        return {"lora_name": self.name, "lora_path": str(self.path)}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"), seed=1)


def make_base(folder: Path, seed: int) -> Path:
    """Write a random two-layer BERT with a word tokenizer of its own."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(WORDS, tokenizer_trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    ids = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ids)
    fast: Any = PreTrainedTokenizerFast
    fast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    plain: Any = BertModel
    plain(config).save_pretrained(folder)
    return folder


def make_adapter(base: Path, root: Path, labels: list[str], seed: int, temperature: float = 1.3) -> Adapter:
    """Write an adapter with random weights as the trainer does, with probes computed by peft itself."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    classifier: Any = BertForSequenceClassification
    model = classifier.from_pretrained(base, num_labels=len(labels))
    with torch.no_grad():
        model.bert.pooler.dense.weight.copy_(0.2 * torch.eye(model.config.hidden_size))
        model.bert.pooler.dense.bias.zero_()
        model.classifier.weight.normal_(std=2.0)
    targets = ["query", "key", "value", "dense"]
    config = LoraConfig(
        task_type="SEQ_CLS", r=16, lora_alpha=32, target_modules=targets, exclude_modules=r".*pooler.*",
        modules_to_save=["classifier"], init_lora_weights=False,
    )  # fmt: skip
    peft_model = get_peft_model(model, config).eval()
    path = root / f"news-e1-{seed:012x}"
    peft_model.save_pretrained(str(path))
    (path / "README.md").unlink(missing_ok=True)
    manifest = StudentManifest(
        model_version=path.name, workload="news", labels=labels, form="sequence-classification", base_model="tiny",
        base_sha256=base_digest(base), files=[], snapshot_sha256="00", seed=seed,
        part={
            "pooling": "mean", "max_tokens": 32, "temperature": temperature, "rank": 16, "alpha": 32.0,
            "target_modules": targets, "modules_to_save": ["classifier"],
        },
    )  # fmt: skip
    probes = [{"text": text, "probabilities": _probabilities(peft_model, tokenizer, text, manifest)} for text in TEXTS]
    (path / "probes.json").write_bytes(canonical({"probes": probes}))
    return Adapter(path.name, path, labels, peft_model, tokenizer, write_manifest(path, manifest))


def write_manifest(path: Path, manifest: StudentManifest) -> StudentManifest:
    """Write the manifest anew, over the files as they are now."""
    files = [
        FileDigest(path=file.name, sha256=sha256(file.read_bytes()).hexdigest(), bytes=file.stat().st_size)
        for file in sorted(path.iterdir())
        if file.name != MANIFEST
    ]
    manifest = replace(manifest, files=files)
    (path / MANIFEST).write_bytes(manifest.to_bytes())
    return manifest


def edit_json(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def _probabilities(model: Any, tokenizer: Any, text: str, manifest: StudentManifest) -> list[float]:
    inner = model.get_base_model()
    with torch.inference_mode():
        batch = tokenizer([text], truncation=True, max_length=manifest.part["max_tokens"], return_tensors="pt")
        states = inner.bert(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        logits = inner.classifier(torch.tanh(inner.bert.pooler.dense(states[0].mean(0))))
        found: list[float] = torch.softmax(logits / manifest.part["temperature"], -1).tolist()
    return found


@pytest.fixture(scope="session")
def base(base_folder: Path) -> FrozenBase:
    return load_base(str(base_folder))


@pytest_asyncio.fixture
async def server(base: FrozenBase, tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    """A student server whose root is `root` below the test's folder."""
    root = tmp_path / "root"
    root.mkdir()
    students = LoadedStudents(base, root, batch=8, waiting=10_000, most=4)
    async with TestClient(TestServer(application(students))) as client:
        yield client
    students.batcher.close()
