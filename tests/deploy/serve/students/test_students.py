"""The student server keeps vLLM's routes and codes, answers as peft would, and loads nothing it has not checked."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from aiohttp.test_utils import TestClient

from schemas.manifest import canonical
from tests.deploy.serve.conftest import TEXTS, Adapter, edit_json, make_adapter, make_base, write_manifest

Client = TestClient[Any, Any]
LABELS = ["earnings", "mergers", "other"]


@pytest.fixture
def adapter(base_folder: Path, tmp_path: Path, server: Client) -> Adapter:
    return make_adapter(base_folder, tmp_path / "root", LABELS, seed=11)


async def load(server: Client, body: dict[str, Any]) -> tuple[int, str]:
    response = await server.post("/v1/load_lora_adapter", json=body)
    return response.status, await response.text()


async def classify(server: Client, model: str, texts: Any) -> dict[str, Any]:
    response = await server.post("/classify", json={"model": model, "input": texts})
    assert response.status == 200, await response.text()
    found: dict[str, Any] = await response.json()
    return found


async def test_routes__walk_through_an_adapters_life(server: Client, adapter: Adapter) -> None:
    """Load, list, classify, refuse a second load, unload: codes and bodies are vLLM's."""
    assert await load(server, adapter.body()) == (200, f"Success: LoRA adapter '{adapter.name}' added successfully.")
    models = (await (await server.get("/v1/models")).json())["data"]
    assert models[1]["id"] == adapter.name
    assert models[1]["root"] == str(adapter.path)
    assert models[1]["parent"] == models[0]["id"]
    status, text = await load(server, adapter.body())
    assert status == 400
    assert "already been loaded" in json.loads(text)["error"]["message"]

    answer = await classify(server, adapter.name, "acme raises guidance")
    assert answer["model"] == adapter.name
    assert answer["data"][0]["label"] in LABELS
    assert answer["data"][0]["num_classes"] == 3
    assert sum(answer["data"][0]["probs"]) == pytest.approx(1.0)
    assert answer["usage"]["prompt_tokens"] == 5

    unload = await server.post("/v1/unload_lora_adapter", json={"lora_name": adapter.name})
    assert unload.status == 200
    assert (await server.post("/v1/unload_lora_adapter", json={"lora_name": adapter.name})).status == 404
    assert (await server.post("/classify", json={"model": adapter.name, "input": "x"})).status == 404
    assert (await server.get("/health")).status == 200
    assert "millrace_student_loads_total" in await (await server.get("/metrics")).text()


async def test_classify__equals_a_plain_peft_computation(server: Client, adapter: Adapter) -> None:
    """Merged and batched by length, the server gives the probabilities of transformers + peft, and the right label."""
    await load(server, adapter.body())
    texts = [*TEXTS, "acme " * 200, ""]
    found = (await classify(server, adapter.name, texts))["data"]
    expected = adapter.reference(texts)

    for row, probabilities in zip(found, expected, strict=True):
        assert row["probs"] == pytest.approx(probabilities, abs=1e-5)
        assert row["label"] == LABELS[probabilities.index(max(probabilities))]


async def test_classify__mixed_adapters_at_once_answer_as_one_by_one(
    server: Client, adapter: Adapter, base_folder: Path, tmp_path: Path
) -> None:
    """Requests to adapters with other label counts, all in flight together, never meet each other's weights."""
    other = make_adapter(base_folder, tmp_path / "root", [f"l{i}" for i in range(7)], seed=12)
    await load(server, adapter.body())
    await load(server, other.body())
    asked = [((adapter, other)[i % 2], TEXTS[i % len(TEXTS)]) for i in range(120)]
    answers = await asyncio.gather(*(classify(server, one.name, text) for one, text in asked))

    for (one, text), answer in zip(asked, answers, strict=True):
        assert answer["data"][0]["probs"] == pytest.approx(one.reference([text])[0], abs=1e-5)


async def test_unload__requests_in_flight_are_answered_or_told(server: Client, adapter: Adapter) -> None:
    """Unloading under load breaks no request: each is answered whole, or answered 404; afterwards all are told 404."""
    await load(server, adapter.body())
    body = {"model": adapter.name, "input": TEXTS}
    asked = [asyncio.create_task(server.post("/classify", json=body)) for _ in range(8)]
    first = await asked[0]  # the others are on their way by now
    gone = await server.post("/v1/unload_lora_adapter", json={"lora_name": adapter.name})
    answers = await asyncio.gather(*asked)

    assert (first.status, gone.status) == (200, 200)
    assert {answer.status for answer in answers} <= {200, 404}
    whole = [await one.json() for one in answers if one.status == 200]
    assert all(len(one["data"]) == len(TEXTS) for one in whole)
    assert (await server.post("/classify", json={"model": adapter.name, "input": "x"})).status == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/classify", {"model": "none", "input": "x"}, 404),
        ("/classify", {"model": "none"}, 400),
        ("/classify", {"model": "none", "input": 3}, 400),
        ("/classify", {"model": "none", "input": []}, 400),
        ("/classify", {"model": "none", "input": ["x"] * 300}, 400),
        ("/v1/load_lora_adapter", {"lora_name": "a"}, 400),
        ("/v1/load_lora_adapter", {"lora_name": "a", "lora_path": "/x", "load_inplace": True}, 400),
        ("/v1/unload_lora_adapter", {"lora_name": "none"}, 404),
        ("/v1/unload_lora_adapter", {}, 400),
        ("/nowhere", {}, 404),
    ],
)
async def test_routes__bad_requests_get_their_status(
    server: Client, path: str, body: dict[str, Any], status: int
) -> None:
    """A request that cannot be served is answered with vLLM's code, never with 500."""
    assert (await server.post(path, json=body)).status == status


async def test_routes__a_body_not_declared_as_json_is_refused(server: Client, adapter: Adapter) -> None:
    """A web page can post text without asking the browser's leave, but not JSON: only JSON is taken."""
    response = await server.post(
        "/v1/load_lora_adapter", data=json.dumps(adapter.body()), headers={"Content-Type": "text/plain"}
    )
    assert response.status == 415


async def test_load__a_missing_folder_inside_the_root_is_not_found(server: Client, tmp_path: Path) -> None:
    """A path where nothing is gives 404, as vLLM does."""
    assert (await load(server, {"lora_name": "a", "lora_path": str(tmp_path / "root" / "none")}))[0] == 404


@pytest.mark.parametrize("place", ["outside", "relative", "dots", "link", "root"])
async def test_load__paths_that_lead_out_of_the_root_are_refused(
    server: Client, adapter: Adapter, tmp_path: Path, place: str
) -> None:
    """Neither another folder, nor dots, nor a link, nor the root itself is loaded."""
    outside = tmp_path / adapter.name
    shutil.copytree(adapter.path, outside)
    link = tmp_path / "root" / "link"
    link.symlink_to(outside)
    paths = {
        "outside": str(outside), "relative": f"root/{adapter.name}", "link": str(link),
        "dots": str(tmp_path / "root" / ".." / adapter.name), "root": str(tmp_path / "root"),
    }  # fmt: skip
    status, text = await load(server, {"lora_name": adapter.name, "lora_path": paths[place]})

    assert status == 400
    assert "root" in text or "absolute" in text


def _swap_bytes(path: Path) -> None:
    data = bytearray((path / "adapter_model.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "adapter_model.safetensors").write_bytes(data)


def _add_pickle(path: Path) -> None:
    (path / "adapter_model.bin").write_bytes(b"\x80\x04.")


def _link_a_file(path: Path) -> None:
    moved = path.parent.parent / "weights.safetensors"
    (path / "adapter_model.safetensors").rename(moved)
    (path / "adapter_model.safetensors").symlink_to(moved)


def _no_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def _stray_file(path: Path) -> None:
    (path / "extra.json").write_text("{}")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_swap_bytes, "SHA-256"),
        (_add_pickle, "only safetensors and JSON"),
        (_link_a_file, "is a link"),
        (_no_manifest, "no manifest.json"),
        (_stray_file, "does not list extra.json"),
    ],
)
async def test_load__a_folder_that_differs_from_its_manifest_is_refused(
    server: Client, adapter: Adapter, edit: Callable[[Path], None], reason: str
) -> None:
    """One changed bit, a pickle, a link or a stray file, and nothing is loaded."""
    edit(adapter.path)
    status, text = await load(server, adapter.body())

    assert status == 400
    assert reason in text
    assert len((await (await server.get("/v1/models")).json())["data"]) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_version": "other"}, "is of 'other'"),
        ({"form": "generative"}, "form is 'generative'"),
        ({"labels": ["a", "a"]}, "different names"),
        ({"labels": ["a", "b", "c", "d"]}, "probabilities each"),
        ({"format": "millrace-adapter/9"}, "format"),
        ({"pooling": "cls"}, "pooling is 'cls'"),
        ({"temperature": 0}, "temperature is 0"),
        ({"max_tokens": 65}, "the base reads 64"),
        ({"rank": 8}, "r is 16, not 8"),
        ({"target_modules": ["query"]}, "target_modules"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_load__a_manifest_that_cannot_be_served_is_refused(
    server: Client, adapter: Adapter, change: dict[str, Any], reason: str
) -> None:
    """Whatever the manifest says must be what this server can do and what the files are."""
    head = {name: value for name, value in change.items() if name in vars(adapter.manifest)}
    part = {name: value for name, value in change.items() if name not in head}
    write_manifest(adapter.path, replace(adapter.manifest, **head, part={**adapter.manifest.part, **part}))
    status, text = await load(server, adapter.body())

    assert status == 400
    assert reason in json.loads(text)["error"]["message"]


def _shape(tensors: dict[str, torch.Tensor]) -> None:
    name = next(name for name in tensors if "lora_A" in name)
    tensors[name] = tensors[name][:, :-1].contiguous()


def _extra(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.bert.pooler.dense.lora_A.weight"] = torch.zeros(16, 32)


def _missing(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["base_model.model.classifier.bias"]


def _infinite(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.classifier.bias"][0] = float("inf")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [(_shape, "not floating point"), (_extra, "1 unknown"), (_missing, "lack 1 tensors"), (_infinite, "not finite")],
)
async def test_load__weights_that_do_not_fit_are_refused(
    server: Client, adapter: Adapter, edit: Callable[[dict[str, torch.Tensor]], None], reason: str
) -> None:
    """Every tensor of the adapter, and no other, in its shape: also LoRA on the pooler, which vLLM drops silently."""
    file = adapter.path / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    edit(tensors)
    safetensors.torch.save_file(tensors, file)
    write_manifest(adapter.path, adapter.manifest)
    status, text = await load(server, adapter.body())

    assert status == 400
    assert reason in text


@pytest.mark.parametrize(
    "weights", [b"", b"\x00" * 64, b"\xff" * 64, b"\x80\x04\x95pickle", (9 << 20).to_bytes(8, "little") + b"{" * 100]
)
async def test_load__bytes_that_are_no_safetensors_are_refused(
    server: Client, adapter: Adapter, weights: bytes
) -> None:
    """A pickle under a safe name, or a header of absurd length, is refused before a parser allocates for it."""
    (adapter.path / "adapter_model.safetensors").write_bytes(weights)
    write_manifest(adapter.path, adapter.manifest)
    status, text = await load(server, adapter.body())

    assert status == 400
    assert "no safetensors file" in text


@pytest.mark.parametrize("setting", [{"use_dora": True}, {"peft_type": "LOHA"}, {"bias": "all"}, {"use_rslora": True}])
async def test_load__other_kinds_of_adapter_are_refused(
    server: Client, adapter: Adapter, setting: dict[str, Any]
) -> None:
    """Only plain LoRA is what the trainer evaluated and what vLLM serves."""
    edit_json(adapter.path / "adapter_config.json", **setting)
    write_manifest(adapter.path, adapter.manifest)

    assert (await load(server, adapter.body()))[0] == 400


async def test_load__changed_probes_are_refused(server: Client, adapter: Adapter) -> None:
    """An adapter that does not answer here as it did in training is never served."""
    probes = json.loads((adapter.path / "probes.json").read_text())
    probes["probes"][3]["probabilities"][0] += 0.002
    (adapter.path / "probes.json").write_bytes(canonical(probes))
    write_manifest(adapter.path, adapter.manifest)
    status, text = await load(server, adapter.body())

    assert status == 400
    assert "probes differ" in text


async def test_load__an_adapter_of_another_base_is_refused(server: Client, tmp_path: Path) -> None:
    """The same architecture with other weights is another base."""
    other = make_adapter(make_base(tmp_path / "base", seed=2), tmp_path / "root", LABELS, seed=13)
    status, text = await load(server, other.body())

    assert status == 400
    assert "stands on base" in text


async def test_load__the_manifest_asked_for_is_the_only_one_taken(server: Client, adapter: Adapter) -> None:
    """Who knows the manifest's digest from the promotion event gets that adapter or none."""
    assert (await load(server, adapter.body() | {"manifest_sha256": "0" * 64}))[0] == 400
    assert (await load(server, adapter.body() | {"manifest_sha256": adapter.manifest.digest()}))[0] == 200


async def test_load__a_full_server_refuses_and_evicts_nobody(server: Client, base_folder: Path, tmp_path: Path) -> None:
    """The number of adapters is bounded, and a loaded one is never dropped for a new one."""
    adapters = [make_adapter(base_folder, tmp_path / "root", LABELS, seed=20 + i) for i in range(5)]
    statuses = [(await load(server, one.body()))[0] for one in adapters]

    assert statuses == [200, 200, 200, 200, 400]
    assert len((await (await server.get("/v1/models")).json())["data"]) == 5
