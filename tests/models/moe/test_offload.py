"""accelerate's offload and device maps give the outputs and gradients of the model that lies in memory."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model, infer_auto_device_map
from accelerate.utils import compute_module_sizes
from torch import Tensor, nn

from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert, preset
from sparsebench.models.moe.experts import dispatch

CONFIGS = {
    "v1": preset("llama_moe_v1_2of8", split="random"),
    "v2": preset("llama_moe_v2_8top2", split="random"),
    "shared": MoEConfig(num_experts=5, num_shared=1, router="mlp"),
    "attention": MoEConfig(num_experts=4, attn=AttnMoEConfig(num_experts=4, top_k=2)),
    "attention, all keys": MoEConfig(num_experts=4, attn=AttnMoEConfig(num_experts=4, top_k=2, mode="keep_kv")),
}


def on_the_processor(model: nn.Module, folder: Path) -> nn.Module:
    return cpu_offload(model, execution_device=torch.device("cpu"))


def on_a_disk(model: nn.Module, folder: Path) -> nn.Module:
    return disk_offload(model, str(folder), execution_device=torch.device("cpu"))


def spread(model: nn.Module, folder: Path) -> nn.Module:
    """As `device_map="auto"` spreads a model that does not fit: some blocks on the processor, the rest on a disk."""
    room = int(compute_module_sizes(model)[""] * 0.7)
    places = infer_auto_device_map(model, max_memory={"cpu": room}, no_split_module_classes=["LlamaDecoderLayer"])  # pyright: ignore
    assert set(places.values()) == {"cpu", "disk"}, places
    return dispatch_model(model, places, main_device="cpu", offload_dir=str(folder))  # pyright: ignore


WAYS = (on_the_processor, on_a_disk, spread)


def input_gradient(model: Any) -> Tensor:
    """By the embeddings (2, 6, width): offload takes the weights away before a gradient could be kept with them."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 6, model.config.hidden_size, generator=generator).requires_grad_()
    model(inputs_embeds=x, use_cache=False).logits.square().sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_and_gradients_are_those_of_the_model_in_memory(
    name: str,
    kernels: bool,
    build: Callable[[str], nn.Module],
    example: Callable[..., Tensor],
    run: Callable[..., Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parts that were not called once left their weights on the meta device, and pointers went to nowhere."""
    if not kernels:
        monkeypatch.setattr(dispatch, "native", lambda: None)
    model: Any = convert(build("llama"), CONFIGS[name])
    batch = example(model)
    expected = run(model, batch)
    expected_gradient = input_gradient(copy.deepcopy(model))
    for way in WAYS:
        offloaded = way(copy.deepcopy(model), tmp_path / way.__name__)
        assert any(parameter.is_meta for parameter in offloaded.parameters())
        assert torch.equal(run(offloaded, batch), expected), way.__name__
        assert torch.equal(input_gradient(offloaded), expected_gradient), way.__name__
