"""Every kind with prunable weights, whatever it computes from them."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters.adapter_set import AdapterSet
from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.config import AdapterConfig, CombinedConfig
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.fact import FacTConfig
from sparsebench.models.adapters.kinds.fusion import FusionConfig
from sparsebench.models.adapters.kinds.prefix import PrefixConfig
from sparsebench.models.adapters.kinds.rep_adapter import RepAdapterConfig
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.adapters.pruning.sparsify import sparsify

from ..pruning_tools import evidence, loss

Build = Callable[[str], nn.Module]
PARALLEL = BottleneckConfig(r=4, init="normal", placement="parallel", scale=4.0)
KINDS: dict[str, tuple[str, AdapterConfig]] = {
    "stream": ("timm_vit", StreamConfig(r=4, init="normal")),
    "convpass": ("timm_vit", ConvpassConfig(r=4, init="normal")),
    "fact": ("timm_vit", FacTConfig(r=4, init="normal")),
    "rep_adapter": ("timm_vit", RepAdapterConfig(r=4, init="normal")),
    "mam": ("bert", CombinedConfig(parts=(PrefixConfig(), PARALLEL))),
    "fusion": ("llama", FusionConfig(adapters=("a", "b"))),
}
PAIRED = ("stream", "mam")


def make(name: str, build: Build) -> AdapterSet:
    family, config = KINDS[name]
    model = build(family)
    if name == "fusion":
        for part in ("a", "b"):
            attach(model, BottleneckConfig(r=4, init="normal", seed=len(part)), part)
    return attach(model, config, "pruned")


@pytest.mark.parametrize("method", ["random", "magnitude", "snip", "grasp", "erk"])
@pytest.mark.parametrize("name", KINDS)
def test_exact_counts_and_zeros_that_stay(
    name: str, method: str, build: Build, example: Callable, run: Callable
) -> None:
    """The outputs are those of the dense set with the removed weights at 0, before and after training steps."""
    adapters = make(name, build)
    model, dense = adapters.model, copy.deepcopy(adapters)
    report = sparsify(adapters, method=method, sparsity=0.6, rounds=2, **evidence(adapters, example))
    assert report.kept == round(0.4 * report.total) == sum(part.numel() for part in adapters.weights().values())
    for layer, pruned in zip(dense.prunable().values(), adapters.prunable().values(), strict=True):
        layer.stored.data.mul_(pruned.mask)
    torch.testing.assert_close(run(model, example(model)), run(dense.model, example(model)), rtol=1e-5, atol=1e-6)
    optimizer = torch.optim.SGD(adapters.parameters(), lr=1e-2, momentum=0.9, weight_decay=0.1)
    masks = [layer.mask for layer in adapters.prunable().values()]
    for step in range(3):
        optimizer.zero_grad()
        loss(model, example(model, step)).backward()
        optimizer.step()
    for layer, mask in zip(adapters.prunable().values(), masks, strict=True):
        assert torch.equal(layer.mask, mask) and not layer.effective()[~mask].any()


@pytest.mark.parametrize("name", KINDS)
def test_synflow_and_units_where_there_are_pairs(name: str, build: Build, example: Callable, run: Callable) -> None:
    for options in ({"method": "synflow"}, {"method": "magnitude", "granularity": "unit"}):
        adapters = make(name, build)
        if name in PAIRED:
            report = sparsify(adapters, density=0.5, **options)
            assert report.kept == report.total // 2 and run(adapters.model, example(adapters.model)).isfinite().all()
        else:
            with pytest.raises(ValueError, match="in 0 pairs of `down` and `up`"):
                sparsify(adapters, density=0.5, **options)
