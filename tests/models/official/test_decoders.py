"""Decoders put together of tensors: names, experts of uneven size, and what does not fit."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sparsebench.models.errors import ModelError
from sparsebench.models.official.checkpoint import Checkpoint
from sparsebench.models.official.decoders import OF_MIXTRAL, decoder, dense_ffn, experts, llama_config, outside

from .folders import RECORDED, V1


def test_tensors_that_do_not_fit() -> None:
    checkpoint = Checkpoint(RECORDED / V1)
    config = llama_config(checkpoint, (), intermediate_size=48)
    tensors = {"lm_head.weight": torch.zeros(64, 32)}
    with pytest.raises(ModelError, match=r"does not fit its config\.json: tensors 20 missing, as model"):
        decoder(checkpoint, "LlamaForCausalLM", config, {}, tensors)


def test_what_lies_outside_of_mixtures(tmp_path: Path) -> None:
    """Without a head where the embeddings are one."""
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": true}', encoding="utf-8")
    names = ["model.embed_tokens.weight", "model.norm.weight", "model.layers.1.a"]
    save_file({name: torch.zeros(1) for name in names}, tmp_path / "model.safetensors")
    assert list(outside(Checkpoint(tmp_path), [[], ["a"]])) == names


def test_experts_are_filled_up_to_the_largest(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 2}', encoding="utf-8")
    tensors = {}
    for expert, size in enumerate((1, 2)):
        tensors |= {f"e.{expert}.{part}": torch.full((size, 2), 1.0 + expert) for part in ("w1", "w3")}
        tensors[f"e.{expert}.w2"] = torch.full((2, size), 3.0 + expert)
    save_file(tensors, tmp_path / "model.safetensors")
    checkpoint = Checkpoint(tmp_path)
    gate_up, down = experts(checkpoint, "e.{expert}.{part}", (1, 2), OF_MIXTRAL)
    assert gate_up[..., 0].tolist() == [[1, 0, 1, 0], [2, 2, 2, 2]]
    assert down[:, 0].tolist() == [[3, 0], [4, 4]]
    dense = dense_ffn(checkpoint, 7, "e.1.{part}", 2, OF_MIXTRAL)
    assert list(dense) == [f"model.layers.7.mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
    with pytest.raises(ModelError, match=r"e\.0\.w1 has the shape \(1, 2\); \(2, 2\)"):
        experts(checkpoint, "e.{expert}.{part}", (2, 2), OF_MIXTRAL)
