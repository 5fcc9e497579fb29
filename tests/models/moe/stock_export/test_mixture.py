from collections.abc import Callable

import torch
from torch import nn

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.layer import Alignment, MoEFFN
from sparsebench.models.moe.stock_export.mixture import Mixture

Build = Callable[[str], nn.Module]


def layer_of(build: Build, **fields: object) -> MoEFFN:
    return convert(build("llama"), MoEConfig(**fields)).model.layers[0].mlp  # type: ignore[arg-type]


def test_scale_and_gain_are_folded_into_the_down_projections(build: Build) -> None:
    layer = layer_of(build, num_shared=1, scale=3.0)
    gain = torch.linspace(0.5, 2, 32)
    layer.alignment = Alignment(gain, torch.zeros(32))
    found = Mixture.of(layer, hidden=8, shared=7)
    assert layer.shared is not None
    torch.testing.assert_close(found.down[:, :, :7], layer.experts.down * 3 * gain[:, None])
    torch.testing.assert_close(found.shared.down, layer.shared.weights(0).down * gain[:, None])
    assert torch.equal(found.router, layer.router.weight)


def test_experts_and_shared_block_end_in_zero_neurons(build: Build) -> None:
    layer = layer_of(build, num_shared=1)
    found = Mixture.of(layer, hidden=16, shared=10)
    gate, up = found.gate_up.chunk(2, dim=1)
    old_gate, old_up = layer.experts.gate_up.chunk(2, dim=1)
    for new, old in ((gate, old_gate), (up, old_up)):
        assert torch.equal(new[:, :7], old) and not new[:, 7:].any() and new.shape == (7, 16, 32)
    assert found.down.shape == (7, 32, 16) and not found.down[:, :, 7:].any()
    assert found.shared.up.shape == (10, 32) and not found.shared.up[7:].any()


def test_a_layer_without_a_shared_block_gets_one_of_zero_neurons(build: Build) -> None:
    found = Mixture.of(layer_of(build), hidden=8, shared=1)
    assert found.shared.gate is not None
    assert found.shared.gate.shape == found.shared.up.shape == (1, 32) and found.shared.down.shape == (32, 1)
    assert not (found.shared.gate.any() or found.shared.up.any() or found.shared.down.any())


def test_no_copy_where_nothing_changes(build: Build) -> None:
    layer = layer_of(build, num_experts=10, scale=1.0)  # 5 neurons each
    found = Mixture.of(layer, hidden=5, shared=0)
    assert found.down.data_ptr() == layer.experts.down.data_ptr()
    assert found.shared.up.shape == (0, 32)


def test_bfloat16_is_rounded_once(build: Build) -> None:
    layer = layer_of(build, scale=1.7).bfloat16()
    found = Mixture.of(layer, hidden=7, shared=0)
    assert torch.equal(found.down, (layer.experts.down.float() * 1.7).bfloat16())
