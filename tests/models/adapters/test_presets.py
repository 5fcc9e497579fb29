from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.presets import PRESETS, preset
from sparsebench.models.errors import ModelError

Make = Callable[[str], nn.Module]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("faithful", [False, True])
def test_presets_attach(name: str, faithful: bool, make: Make, example: Callable, run: Callable) -> None:
    bottleneck = name in ("houlsby", "pfeiffer", "parallel", "scaled_parallel", "mam")
    for family in ("timm_vit", *(("llama", "bert", "roberta", "vit") if bottleneck else ())):
        model = make(family)
        batch, before = example(model), run(model, example(model))
        adapters = attach(model, preset(name, faithful=faithful, seed=1))
        assert adapters.count() > 0 and run(model, batch).isfinite().all()
        assert adapters.prunable() or not bottleneck
        adapters.remove()
        assert torch.equal(run(model, batch), before)


def test_faithful_presets() -> None:
    for name in ("houlsby", "pfeiffer", "parallel", "scaled_parallel"):
        config = preset(name, faithful=True)
        assert isinstance(config, BottleneckConfig)
        assert (config.r, config.norm, config.init, config.activation) == (64, "in", "normal", "relu")
    assert preset("mam", faithful=True) == preset("mam")


def test_faithful_starts_are_those_of_glorot_and_bengio(make: Make) -> None:
    """U(-b, b) with b^2 = 6 / (inputs + outputs): that of a convolution of one tap in the releases."""
    for name in ("rep_adapter", "convpass"):
        bound = {}
        for faithful in (False, True):
            model = make("timm_vit")
            attach(model, preset(name, faithful=faithful, r=8, seed=1))
            down = next(value for key, value in model.named_parameters() if key.endswith("project_in.weight"))
            bound[faithful] = down.abs().max().item()
            inputs = down.shape[1]
        assert 0.9 * (6 / (inputs + 8)) ** 0.5 < bound[True] <= (6 / (inputs + 8)) ** 0.5
        assert bound[False] <= inputs**-0.5


def test_changes_and_unknown_names() -> None:
    changed = preset("pfeiffer", r=3, blocks=2)
    assert isinstance(changed, BottleneckConfig) and (changed.r, changed.blocks, changed.init) == (3, 2, "normal")
    with pytest.raises(ModelError, match="did you mean 'adapter_plus'"):
        preset("adapterplus")
    with pytest.raises(TypeError, match="rank"):
        preset("fact", rank=3)
