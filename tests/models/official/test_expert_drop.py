"""Mixtrals and Qwen2-MoEs with fewer experts and FFNs, from folders that the official scripts wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from sparsebench.models import load
from sparsebench.models.anatomy import describe
from sparsebench.models.official import from_official, import_official
from sparsebench.models.official.checkpoint import Checkpoint
from sparsebench.models.official.expert_drop import NOT_OPENED, build

from ..agreement import agree
from ..oracles.oracle import rounding
from .folders import RECORDED, check_refused, configured, expected_of, rewritten, say

TRIMMED, PRESERVED = "expert_drop", "expert_drop_preserved"
"""Of four experts, two a token: three, one, and no FFN; and two and three, behind routers with all rows."""
QWEN, QWEN_PRESERVED = "qwen2_moe_trimmed", "qwen2_moe_preserved"
"""Likewise of Qwen2-MoE; its official class cannot open the second."""
MODEL = rounding(products=24, terms=16)
BLOCK = "model.layers.1.block_sparse_moe"


@pytest.mark.parametrize("name", [TRIMMED, PRESERVED, QWEN])
@torch.no_grad()
def test_outputs(name: str, tmp_path: Path) -> None:
    expected = expected_of(name)
    assert import_official(RECORDED / name, tmp_path / "ours").layout == "expert_drop"
    model = load(tmp_path / "ours")
    agree(model(expected["input_ids"]).logits, expected["logits"], "logits", within=MODEL)
    mask = expected["attention_mask"]
    padded = model(expected["input_ids"], attention_mask=mask).logits
    agree(padded[mask.bool()], expected["logits_padded"][mask.bool()], "logits", within=MODEL)


@torch.no_grad()
def test_as_many_experts_in_all_blocks_that_have_any(tmp_path: Path) -> None:
    """Layer Drop alone: the configuration of transformers says the number, and ours only what was removed."""

    def trim(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if "layers.0.block_sparse_moe.experts." in name]:
            if ".experts.0." not in name:
                del tensors[name]
        tensors["model.layers.0.block_sparse_moe.gate.weight"] = tensors["model.layers.0.block_sparse_moe.gate.weight"][
            :1
        ]

    folder = rewritten(TRIMMED, tmp_path, trim)
    say(folder, num_local_experts=[1, 1, -1], layer_experts_idx=None)
    model: Any = from_official(folder)
    assert (model.config.num_local_experts, model.config.num_experts_per_tok) == (1, 1)
    assert model.config.sparsebench["parts"].keys() == {"removed"}
    assert model(expected_of(TRIMMED)["input_ids"]).logits.isfinite().all()


CHANGES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "no router": (lambda t: t.pop(f"{BLOCK}.gate.weight"), r"no tensor .*1\.block_sparse_moe\.gate"),
    "a row more": (
        lambda t: t.update({f"{BLOCK}.gate.weight": torch.zeros(2, 16)}),
        r"gate\.weight has the shape \(2, 16\); \(1, 16\)",
    ),
    "an expert more": (lambda t: t.update({f"{BLOCK}.experts.1.w1.weight": torch.zeros(8, 16)}), "have no place"),
    "a norm of what is gone": (
        lambda t: t.update({"model.layers.2.post_attention_layernorm.weight": torch.ones(16)}),
        "1 tensors .* have no place",
    ),
}


def test_refused_tensors(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (change, message) in CHANGES.items():
        with subtests.test(name):
            check_refused(rewritten(TRIMMED, tmp_path / name, change), message)


@torch.no_grad()
def test_rows_of_dropped_experts_of_qwen_lead_nowhere() -> None:
    """The stock class with all four experts, of which those dropped give 0."""
    folder = RECORDED / QWEN_PRESERVED
    model: Any = from_official(folder)
    assert build(Checkpoint(folder)).unknown == (NOT_OPENED,)
    stock: Any = transformers.Qwen2MoeForCausalLM(transformers.Qwen2MoeConfig(**model.config.to_diff_dict())).eval()
    state = {name: torch.zeros_like(value) for name, value in stock.state_dict().items()}
    for name, value in model.state_dict().items():
        if not name.endswith(".table"):
            state[name.replace(".base_layer", "")][: len(value)] = value
    stock.load_state_dict(state)
    ids = expected_of(QWEN)["input_ids"]
    agree(model(ids).logits, stock(ids).logits, "logits", within=MODEL)


def test_block_drop_leaves_a_stock_folder(build: Callable[[str], Any], tmp_path: Path) -> None:
    model = build("mixtral")
    describe(model).remove([0])
    model.save_pretrained(tmp_path / "stock")
    check_refused(tmp_path / "stock", "'mixtral' that transformers knows .after Block Drop, too.: it needs no import")


VALUES: dict[str, tuple[str, dict[str, object], str]] = {
    "other numbers": (TRIMMED, {"num_local_experts": [3, 2, -1]}, "do not fit each other"),
    "fewer rows": (PRESERVED, {"gate_num_experts": 3}, r"has the shape \(4, 16\); \(3, 16\)"),
    "a window": (QWEN, {"use_sliding_window": True}, "use_sliding_window=True; only False"),
}


def test_refused_values(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (folder, config, message) in VALUES.items():
        with subtests.test(name):
            check_refused(configured(folder, tmp_path / name, **config), message)
