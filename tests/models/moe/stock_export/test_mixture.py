from collections.abc import Callable

import torch
from torch import nn

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.stock_export.mixture import Mixture

Build = Callable[[str], nn.Module]


def layer_of(build: Build, **fields: object) -> MoEFFN:
    return convert(build("llama"), MoEConfig(**fields)).model.layers[0].mlp  # type: ignore[arg-type]


def test_a_layer_without_a_shared_block_gets_one_of_zero_neurons(build: Build) -> None:
    found = Mixture.of(layer_of(build), (8, 1))
    assert found.shared.gate is not None
    assert found.shared.gate.shape == found.shared.up.shape == (1, 32) and found.shared.down.shape == (32, 1)
    assert not (found.shared.gate.any() or found.shared.up.any() or found.shared.down.any())


def test_no_copy_where_nothing_changes(build: Build) -> None:
    layer = layer_of(build, num_experts=10, scale=1.0)  # 5 neurons each
    found = Mixture.of(layer, (5, 0))
    assert found.down.data_ptr() == layer.experts.down.data_ptr()
    assert found.shared.up.shape == (0, 32)


def test_bfloat16_is_rounded_once(build: Build) -> None:
    layer = layer_of(build, scale=1.7).bfloat16()
    found = Mixture.of(layer, (7, 0))
    assert torch.equal(found.down, (layer.experts.down.float() * 1.7).bfloat16())


def test_a_repeated_shared_block_stands_behind_each_expert(build: Build) -> None:
    layer = layer_of(build, num_experts=5, num_shared=1)  # 10 neurons each
    found = Mixture.of(layer, (24, 0), factor=0.5, repeated=True)
    gate, up, down = layer.shared.weights(0)[:3]
    for expert in range(4):
        assert torch.equal(found.gate_up[expert, 10:20], gate)
        assert torch.equal(found.gate_up[expert, 34:44], up)
        assert torch.equal(found.down[expert, :, 10:20], 0.5 * down)
        assert not found.gate_up[expert, 20:24].any() and not found.down[expert, :, 20:].any()
    assert found.shared.up.shape == (0, 32)
