"""Bytes and active parameters of every option, one mixture at a time, against what the transforms give."""

import copy

import pytest
import torch

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.quantisation import Grid, PackedTensor, QuantiseConfig, quantise
from sparsebench.models.compression.quantisation.grid import round_to_nearest
from sparsebench.models.compression.search.options import SearchSpace, options_of
from sparsebench.models.compression.search.prices import Price, packed_bytes, price_of, saved
from sparsebench.models.compression.search.trials import Ranked, changed_block
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.scores import expert_scores

from ..slimming.mixtures import FUSED, batches, mixture


@pytest.mark.parametrize("name", FUSED)
def test_each_option_costs_what_the_changed_model_does(name: str) -> None:
    model = mixture(name)
    seen = mixture_statistics(model, batches(name), moments=True)
    one = Ranked.of(mixtures_of(model)[-1], seen[-1], expert_scores(seen)[-1], widths=True)
    block = one.mixture.block
    options = options_of(one.mixture.experts, SearchSpace(experts=(0.5,), widths=(0.5,), bits=(3,)))
    configs = {3: QuantiseConfig(method="rtn", grid=Grid(bits=3, group_size=16, symmetric=name != "mixtral"))}
    whole = price_of(model)
    savings = saved(model, one, options, configs)
    assert savings[0] == Price(0, 0)
    for option, saving in zip(options, savings, strict=True):
        other = copy.deepcopy(model)
        changed = changed_block(model, one, option)
        mixtures_of(other)[-1].block.site.replace(changed)
        if option.bits is not None:
            quantise(other, configs[3], grids={block.index: configs[3].grid})
        assert price_of(other) == whole - saving, option


@pytest.mark.parametrize(("shape", "bits"), [((3, 5, 33), 3), ((7, 16), 8), ((2, 4, 1), 2)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_bytes_of_packed_weights(shape: tuple[int, ...], bits: int, symmetric: bool) -> None:
    grid = Grid(bits=bits, group_size=8, symmetric=symmetric)
    weight = torch.randn(shape, dtype=torch.bfloat16)
    packed = PackedTensor.of(round_to_nearest(weight, grid))
    assert packed_bytes(weight, grid) == sum(part.nbytes for part in packed.parts().values())
