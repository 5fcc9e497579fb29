"""Prefixes of PEFT, whose tokens come at positions after the prefix: equal but for rounding, files both ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, PrefixConfig, attach, load_peft, save_peft
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import NEAR, noise

peft = pytest.importorskip("peft")
from .peft_tools import gpt2, logits, read, theirs, written  # noqa: E402 - it imports PEFT

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], Any]


def config(**options: Any) -> Any:
    return peft.PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM", **options)


def through(model: nn.Module, batch: Tensor) -> Tensor:
    """PEFT needs a mask, which it makes longer."""
    with torch.no_grad():
        return model(input_ids=batch, attention_mask=torch.ones_like(batch)).logits


@pytest.mark.parametrize("case", ["llama", "qwen3", "mixtral", "llama, by an MLP"])
def test_their_file_gives_their_outputs(case: str, build: Build, example: Callable, tmp_path: Path) -> None:
    family = case.split(",")[0]
    options = {"prefix_projection": True, "encoder_hidden_size": 8} if "MLP" in case else {}
    pair = read(lambda: build(family), config(**options), tmp_path)
    batch = example(pair.ours)
    agree(logits(pair.ours, batch), through(pair.theirs, batch), "logits", within=NEAR)
    assert not torch.allclose(logits(pair.ours, batch), logits(build(family), batch), atol=1e-3)
    again = written(pair.adapters, build(family), tmp_path / "again")
    agree(through(again, batch), through(pair.theirs, batch), "logits", within=NEAR)
    first, second = (load_file(folder / "adapter_model.safetensors") for folder in (tmp_path, tmp_path / "again"))
    assert first.keys() == second.keys()
    for key, value in first.items():
        agree(second[key], value, "tensors", within=NEAR, where=key)


def test_ours_is_read_by_peft(build: Build, example: Callable, tmp_path: Path) -> None:
    model = build("llama")
    attach(model, BottleneckConfig(r=2), "other")
    adapters = attach(model, PrefixConfig(length=4, bottleneck=5, train_head=False))
    noise(adapters.parameters())
    again = written(adapters, build("llama"), tmp_path)
    agree(through(again, example(model)), logits(model, example(model)), "logits", within=NEAR)


def test_what_means_another_function_is_refused(build: Build, tmp_path: Path) -> None:
    theirs(build("llama"), config(), tmp_path)
    by_length = build("llama")
    by_length.model.rotary_emb.rope_type = "dynamic"
    for model, message in (
        (gpt2(), "tokens begin after the prefix"),
        (build("bert"), "no attention of a decoder"),
        (by_length, "no rotary positions that depend on the position alone"),
    ):
        with pytest.raises(ModelError, match=message):
            load_peft(model, tmp_path)
    save_file({"prompt_embeddings": torch.zeros(3, 63)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"shape \(3, 63\), not \(length, 64\) as 2 blocks with 2 key/value heads"):
        load_peft(build("llama"), tmp_path)
    save_file({"prompt_embeddings": torch.zeros(3, 64), "more": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="a prefix is prompt_embeddings alone"):
        load_peft(build("llama"), tmp_path)


def test_sets_that_peft_has_no_place_for_are_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="1 of 2 blocks have a prefix"):
        save_peft(attach(build("llama"), PrefixConfig(length=2, blocks=1, train_head=False)), tmp_path / "out")
    with pytest.raises(ModelError, match="lm_head trains with the prefixes"):
        save_peft(attach(build("llama"), PrefixConfig(length=2)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
