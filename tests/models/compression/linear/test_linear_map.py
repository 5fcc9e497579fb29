"""One linear map of a model: read as it is now, written where it lies."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.errors import ModelError

from ..slimming.mixtures import BUILDERS, batches, mixture, output


@pytest.mark.parametrize("name", BUILDERS)
def test_writing_changes_the_expert_and_nothing_else(name: str) -> None:
    model = mixture(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    one = linear_maps(model)[-1]
    wanted = torch.randn(one.shape, dtype=torch.float64)
    one.write(wanted)
    assert torch.equal(one.weight, wanted.float())
    changed = [key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])]
    assert len(changed) == 1
    differing = (model.state_dict()[changed[0]] != before[changed[0]]).sum()
    assert differing == wanted.numel()
    for one in linear_maps(model):
        one.write(torch.ones(one.shape))
    assert not torch.equal(output(model, batches(name)[0]), output(mixture(name), batches(name)[0]))


def test_another_shape_is_refused_and_nothing_written() -> None:
    one = linear_maps(mixture("mixtral"))[0]
    before = one.weight.clone()
    with pytest.raises(ModelError, match=r"experts\[0\]\.gate has shape \(48, 32\), not \(48, 31\)"):
        one.write(torch.zeros(48, 31))
    assert torch.equal(one.weight, before)


def test_the_view_follows_the_model() -> None:
    """Weights are read when they are asked for."""
    model: Any = mixture("mixtral")
    one = linear_maps(model)[0]
    module = model.model.layers[0].mlp.experts
    module.gate_up_proj = nn.Parameter(copy.deepcopy(module.gate_up_proj.detach()) + 1)
    assert torch.equal(one.weight, module.gate_up_proj[0, :48])
