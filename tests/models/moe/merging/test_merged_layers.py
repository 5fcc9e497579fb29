"""The neuron that holds the bias of an expert, the mean of everything else, and what cannot be held."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.dense_ffn import DenseFFN
from sparsebench.models.moe.conversion.preconditions import feed_forwards
from sparsebench.models.moe.merging.merged_layers import check_down_biases, put_experts, to_average, write_means

Build = Callable[[str], Any]


def ffn(seed: int, *, gated: bool, biases: tuple[bool, bool, bool]) -> DenseFFN:
    """Five neurons of width 32; biases of gate, up and down."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return DenseFFN(
        gate=draw(5, 32) if gated else None,
        up=draw(5, 32),
        down=draw(32, 5),
        gate_bias=draw(5) if gated and biases[0] else None,
        up_bias=draw(5) if biases[1] else None,
        down_bias=draw(32) if biases[2] else None,
        activation=F.silu if gated else F.relu,
    )


def computed(dense: DenseFFN, x: torch.Tensor) -> torch.Tensor:
    up = F.linear(x, dense.up, dense.up_bias)
    if dense.gate is None:
        return dense.output(dense.activation(up))
    return dense.output(dense.activation(F.linear(x, dense.gate, dense.gate_bias)) * up)


@torch.no_grad()
@pytest.mark.parametrize(
    ("gated", "biases"),
    [
        (False, (False, True, True)),
        (False, (False, False, False)),
        (True, (True, True, True)),
        (True, (False, True, True)),
        (True, (False, False, False)),
    ],
)
def test_each_expert_computes_its_ffn_with_its_own_bias(
    gated: bool, biases: tuple[bool, bool, bool], build: Build
) -> None:
    model = convert(build("bert").double(), MoEConfig(num_experts=3, top_k=1, split="whole"))
    layer = _mixture(model)
    layer.experts.gated = gated
    layer.experts.activation = nn.SiLU() if gated else nn.ReLU()
    if not biases[2]:
        layer.down_bias = None
    dense = [ffn(seed, gated=gated, biases=biases) for seed in range(3)]
    put_experts(layer, dense)
    x = torch.randn(4, 32, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    assert layer.experts.sizes == ((6,) * 3 if biases[2] else (5,) * 3)
    for expert in range(3):
        index = torch.full((4, 1), expert)
        out = layer.experts(x, index, torch.ones(4, 1, dtype=torch.float64))
        if layer.down_bias is not None:
            out = out + layer.down_bias
        torch.testing.assert_close(out, computed(dense[expert], x), atol=1e-12, rtol=1e-12)
    if biases[2]:
        mean: Any = sum(each.down_bias for each in dense) / 3  # type: ignore[misc]
        torch.testing.assert_close(layer.down_bias, nn.Parameter(mean))


def _mixture(model: nn.Module) -> Any:
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None
    return mlp.site.get()


@torch.no_grad()
def test_equal_biases_need_no_neuron(build: Build) -> None:
    layer = _mixture(convert(build("bert").double(), MoEConfig(num_experts=2, top_k=1, split="whole")))
    dense = [ffn(seed, gated=False, biases=(False, True, False)) for seed in range(2)]
    bias = torch.arange(32).double()
    put_experts(layer, [_with_bias(each, bias) for each in dense])
    assert layer.experts.sizes == (5, 5) and torch.equal(layer.down_bias, bias)
    assert layer.neurons.tolist() == [0, 1, 2, 3, 4] * 2


def _with_bias(dense: DenseFFN, bias: torch.Tensor) -> DenseFFN:
    fields: dict[str, Any] = {name: getattr(dense, name) for name in DenseFFN.__dataclass_fields__}
    return DenseFFN(**fields | {"down_bias": bias})


def test_a_bias_that_no_neuron_can_hold_is_refused(build: Build) -> None:
    place = feed_forwards(describe(build("bert")))[:1]
    several = [[ffn(seed, gated=False, biases=(False, False, True))] for seed in range(2)]
    with pytest.raises(ModelError, match="without a bias of the up projection no neuron can hold it"):
        check_down_biases(place, several)
    check_down_biases(place, [several[0], several[0]])


@torch.no_grad()
def test_means_are_exact_where_all_are_equal_and_written_once() -> None:
    """Of three float32 numbers, sum / 3 is off in the last digit for some; running statistics are averaged too."""
    models: list[Any] = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(3)]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    for number, model in enumerate(models):
        model[1].running_mean.fill_(number)
    before = models[0][0].weight.clone()
    averages = to_average(models[0], [], models)
    assert len(averages) == 6
    write_means(averages)
    assert torch.equal(models[0][0].weight, before)
    assert models[0][1].running_mean.tolist() == [1.0] * 4
