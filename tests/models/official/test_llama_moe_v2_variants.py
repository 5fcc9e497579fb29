"""LLaMA-MoE v2 with biases that align its experts and blocks that stay dense, from a folder of the official code."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparsebench.models import load
from sparsebench.models.official import from_official, import_official

from ..agreement import agree
from ..oracles.oracle import rounding
from .folders import RECORDED, check_refused, configured, expected_of, rewritten

NAME = "llama_moe_v2_rescaled"
"""Three blocks, of which the second alone is a mixture; attention experts in all; add_rescale_bias."""
MODEL = rounding(products=21, terms=20)
EXPERTS = "model.layers.1.block_sparse_moe.experts"
STOCK = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}


def as_converted(tensors: dict[str, Tensor]) -> None:
    """Dense blocks under the names that the official converter leaves them."""
    for index in (0, 2):
        for short, name in STOCK.items():
            weight = tensors.pop(f"model.layers.{index}.block_sparse_moe.{short}.weight")
            tensors[f"model.layers.{index}.mlp.{name}.weight"] = weight


@torch.no_grad()
def test_outputs(tmp_path: Path) -> None:
    expected = expected_of(NAME)
    found = import_official(RECORDED / NAME, tmp_path / "ours")
    assert (found.layout, found.tensors) == ("llama_moe_v2", 65)
    model = load(tmp_path / "ours")
    agree(model(expected["input_ids"]).logits, expected["logits"], "logits", within=MODEL)
    mask = expected["attention_mask"]
    padded = model(expected["input_ids"], attention_mask=mask).logits
    agree(padded[mask.bool()], expected["logits_padded"][mask.bool()], "logits", within=MODEL)


@torch.no_grad()
def test_dense_blocks_as_the_converter_names_them(tmp_path: Path) -> None:
    expected = expected_of(NAME)
    folder = rewritten(NAME, tmp_path / "converted", as_converted)
    logits = from_official(folder)(expected["input_ids"]).logits
    assert torch.equal(logits, from_official(RECORDED / NAME)(expected["input_ids"]).logits)
    assert any("does not read them" in line for line in import_official(folder, tmp_path / "ours").unknown)


def too_wide(tensors: dict[str, Tensor]) -> None:
    """The width that the residual converter gives dense blocks: not that of the experts together."""
    as_converted(tensors)
    name = "model.layers.0.mlp.gate_proj.weight"
    tensors[name] = tensors[name].repeat(2, 1)


CHANGES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "another bias": (lambda t: t[f"{EXPERTS}.2.w2.bias"].add_(1e-3), r"experts\.2\.w2\.bias and .* differ"),
    "another bias of attention": (lambda t: t["model.layers.2.self_attn.o_proj.1.bias"].zero_(), "differ"),
    "no bias": (lambda t: t.pop(f"{EXPERTS}.1.w2.bias"), r"no tensor .*1\.w2\.bias"),
    "a bias more": (lambda t: t.update({f"{EXPERTS}.1.w1.bias": torch.zeros(5)}), "1 tensors .* have no place"),
    "a dense width": (too_wide, r"gate_proj\.weight has the shape \(40, 16\); \(20, 16\)"),
}


def test_refused_tensors(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (change, message) in CHANGES.items():
        with subtests.test(name):
            check_refused(rewritten(NAME, tmp_path / name, change), message)


VALUES = {
    "all dense": ({"num_moe_contract_layers": 2}, "none is a mixture"),
    "no number": ({"num_moe_contract_layers": "1"}, "none is a mixture"),
    "megablocks": ({"moe_type": "megablocks"}, "moe_type='megablocks'"),
    "mixtures without their tensors": ({"num_moe_contract_layers": 0}, "no tensor model.layers.0.block_sparse_moe"),
    "biases that are not said": ({"add_rescale_bias": False}, "have no place in the model"),
}


def test_refused_values(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (config, message) in VALUES.items():
        with subtests.test(name):
            check_refused(configured(NAME, tmp_path / name, **config), message)
