"""DeepSeekMoE as the official scripts wrote it: after Block Drop, Expert and Layer Drop, and with all router rows."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.models import load
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import to_dense
from sparsebench.models.official import from_official, import_official
from sparsebench.models.official.deepseek_moe import BY_SEQUENCE, FEW

from ..agreement import agree
from ..oracles.oracle import rounding
from .folders import RECORDED, check_refused, configured, expected_of, rewritten

BLOCKS, TRIMMED, PRESERVED = "deepseek_blocks", "deepseek_trimmed", "deepseek_preserved"
MODEL = rounding(products=32, terms=24)
"""Four blocks of eight products."""


@pytest.mark.parametrize("name", [BLOCKS, TRIMMED, PRESERVED])
@torch.no_grad()
def test_outputs(name: str, tmp_path: Path) -> None:
    expected = expected_of(name)
    found = import_official(RECORDED / name, tmp_path / "ours")
    assert (found.layout, found.unknown) == ("deepseek_moe", (BY_SEQUENCE,))
    model: Any = load(tmp_path / "ours").float()  # Block Drop writes bfloat16
    agree(model(expected["input_ids"]).logits, expected["logits"], "logits", within=MODEL)
    mask = expected["attention_mask"]
    padded = model(expected["input_ids"], attention_mask=mask).logits
    agree(padded[mask.bool()], expected["logits_padded"][mask.bool()], "logits", within=MODEL)


def test_experts_are_counted_and_no_dense_layer_is_made_of_them() -> None:
    """Two of four experts of 3 * 16 * 8 weights stay idle in each of two mixtures."""
    model = from_official(RECORDED / BLOCKS)
    counts = count_parameters(model)
    assert counts.total - counts.active == 2 * 2 * 3 * 16 * 8
    with pytest.raises(ModelError, match="keep a copy of the dense model"):
        to_dense(model)


def test_weights_that_are_divided_by_their_sum(tmp_path: Path) -> None:
    normed: Any = from_official(configured(BLOCKS, tmp_path, norm_topk_prob=True))
    layer = normed.model.layers[1].mlp
    weight = layer.router(torch.ones(1, 16)).weight
    assert weight.sum().item() == pytest.approx(1, abs=1e-6)


def test_fewer_experts_than_a_token_chooses(tmp_path: Path) -> None:
    folder = rewritten(
        BLOCKS,
        tmp_path,
        lambda tensors: (
            [tensors.pop(name) if ".experts." in name and ".experts.0." not in name else None for name in list(tensors)]
            and tensors.update({name: value[:1] for name, value in tensors.items() if name.endswith("mlp.gate.weight")})
        ),
    )
    text = (
        (folder / "config.json").read_text(encoding="utf-8").replace('"n_routed_experts": 4', '"n_routed_experts": 1')
    )
    (folder / "config.json").write_text(text, encoding="utf-8")
    found = import_official(folder, tmp_path / "ours")
    assert found.unknown == (BY_SEQUENCE, FEW)


def test_refused(tmp_path: Path) -> None:
    check_refused(configured(BLOCKS, tmp_path / "a", scoring_func="sigmoid"), "scoring_func='sigmoid'; only 'softmax'")
    name = "model.layers.1.mlp.shared_experts.up_proj.weight"
    check_refused(rewritten(BLOCKS, tmp_path / "b", lambda tensors: tensors.pop(name)), f"no tensor {name}")
    more = {"model.layers.1.mlp.experts.4.up_proj.weight": torch.zeros(8, 16)}
    check_refused(rewritten(BLOCKS, tmp_path / "c", lambda tensors: tensors.update(more)), "1 tensors .* have no place")
