"""What is frozen has no effect on any output, and all else has a gradient, so that data-parallel training goes on."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import linear_view
from sparsebench.models.dynamic import ConvConfig, DynamicLayer, MixtureConfig, MixtureLinear, freeze_idle, partition
from sparsebench.models.dynamic.convolution.placing import KINDS
from sparsebench.models.dynamic.mode_partition import SCALES, Scale
from sparsebench.models.dynamic.partitioning.parts import attention_vectors

CHANNELS = 6


def layers() -> dict[str, DynamicLayer]:
    """Every kind of dynamic layer, with and without a bias, no number of which is as it starts."""
    made: dict[str, DynamicLayer] = {}
    generator = torch.Generator().manual_seed(0)
    for bias in (True, False):
        for kind, of in KINDS.items():
            conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=bias)
            made[f"{kind}, bias {bias}"] = of(conv, ConvConfig(kind=kind, num_kernels=2), generator)  # type: ignore[arg-type]
        for straight in (True, False):
            config = MixtureConfig(
                num_kernels=3, top_k=2 - straight, straight_through=straight, gate_noise="none", balance="none"
            )
            view = linear_view(nn.Linear(CHANNELS, CHANNELS, bias=bias))
            made[f"mixture, bias {bias}, straight {straight}"] = MixtureLinear.of(view, config, generator)
    for layer in made.values():
        for parameter in layer.parameters():
            parameter.data.normal_(generator=generator)
    return made


def inputs(layer: DynamicLayer) -> list[Tensor]:
    """Of few positions and of many, which take other ways through the same sum."""
    generator = torch.Generator().manual_seed(1)
    if isinstance(layer, MixtureLinear):
        return [torch.randn(2, 5, CHANNELS, generator=generator)]
    return [torch.randn(3, CHANNELS, side, side, generator=generator) for side in (4, 18)]


MASKS = {
    "static": torch.zeros(CHANNELS, 1) > 0,
    "dynamic": torch.ones(CHANNELS, 1) > 0,
    "rows": torch.arange(CHANNELS)[:, None] < 2,
    "weights": torch.arange(CHANNELS)[:, None] < torch.arange(CHANNELS),
}


LAYERS = layers()


TRAINED = ["0.partition.static", "0.partition.phi", "1.bank", "1.partition.phi", "1.attention.squeeze.weight"]
TRAINED += ["1.attention.excite.weight", "1.attention.excite.bias"]


@pytest.mark.parametrize("name", LAYERS)
def test_idle_parameters_have_no_effect_and_all_others_a_gradient(name):
    for scale in SCALES:
        for mask in MASKS.values():
            _check(copy.deepcopy(LAYERS[name]), mask, scale)


def _check(layer: DynamicLayer, mask: Tensor, scale: Scale) -> None:
    shape = layer.weight_shape
    layer.set_partition(mask.view(*mask.shape, *[1] * (len(shape) - 2)).expand(shape).clone(), scale=scale)
    for number, vector in enumerate(attention_vectors(layer).values()):
        vector.set_partition(torch.arange(vector.weight_shape.numel()) < number, scale=scale)
    freeze_idle(layer)
    for x in inputs(layer):
        for parameter in layer.parameters():
            parameter.grad = None
        before = layer.train()(x)
        if before.requires_grad:  # what is pruned as a whole gives zeros
            before.sum().backward()
        lacking = [key for key, one in layer.named_parameters() if one.requires_grad and one.grad is None]
        assert not lacking
        other = copy.deepcopy(layer)
        for parameter in other.parameters():
            if not parameter.requires_grad and parameter.numel() > 1:
                parameter.data += 1
        assert torch.equal(other.train()(x), before)


def test_partition_freezes_what_it_leaves_idle(tmp_path: Path) -> None:
    """All rows that stay dynamic are of one layer; data-parallel training takes step after step."""
    model: Any = nn.Sequential(*(copy.deepcopy(LAYERS["dy_conv, bias False"]) for _ in range(2)))
    model[1].bank.data.mul_(100)
    partition(model, 1 / 2, criterion="magnitude", granularity="row")
    assert (model[0].partition.ratio, model[1].partition.ratio) == (0, 1)
    assert [name for name, one in model.named_parameters() if one.requires_grad] == TRAINED
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = nn.parallel.DistributedDataParallel(model)
        for _ in range(2):
            parallel(torch.ones(2, CHANNELS, 8, 8)).sum().backward()
    finally:
        torch.distributed.destroy_process_group()


def test_nothing_is_idle_without_a_partition() -> None:
    for layer in layers().values():
        assert freeze_idle(layer) == 0
