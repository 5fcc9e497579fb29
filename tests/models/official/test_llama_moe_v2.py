"""What configurations of LLaMA-MoE v2 may say. The numbers are compared in `oracles/test_official_layouts.py`."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.official import from_official, import_official

from .folders import ATTENTION, RECORDED, V2, configured


@torch.no_grad()
def test_the_scale_of_the_attention(tmp_path: Path) -> None:
    ids = torch.arange(9)[None]
    half: Any = from_official(configured(ATTENTION, tmp_path, scale_factor_attn=1.0))
    whole: Any = from_official(RECORDED / ATTENTION)
    assert [layer.self_attn.router.scale for layer in half.model.layers] == [1.0, 1.0]
    assert not torch.allclose(half(ids).logits, whole(ids).logits)


def test_the_window_of_its_configuration_is_said(tmp_path: Path) -> None:
    """A model that could see further than Mixtral's window, which its configuration repeats."""
    folder = configured(V2, tmp_path, max_position_embeddings=8192)
    assert any("4096 tokens only" in line for line in import_official(folder, tmp_path / "ours").unknown)
    assert len(import_official(RECORDED / V2, tmp_path / "other").unknown) == 2


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"moe_type": "megablocks"}, "moe_type='megablocks'"),
        ({"num_local_experts": 7}, r"shape \(8, 32\); \(7, 32\)"),
    ],
    ids=str,
)
def test_what_is_not_known(says: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        from_official(configured(V2, tmp_path, **says))
