"""Parameters behind the linear maps: how they lie, what they read, and which cannot be quantised."""

import pytest
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.quantisation.targets import Target, targets_of
from sparsebench.models.errors import ModelError

from ..slimming.mixtures import BUILDERS, FUSED, mixture


def targets(name: str, *parts: str) -> list[Target]:
    return targets_of(describe(mixture(name)), parts or ("experts",))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BUILDERS)
def test_they_hold_every_linear_map_of_the_experts_once(name: str) -> None:
    model = mixture(name)
    found = targets_of(describe(model), ("experts",))
    assert sum(target.weight.numel() for target in found) >= sum(
        one.weight.numel() for one in linear_maps(model, ("experts",))
    )
    assert len({(id(target.parent), target.name) for target in found}) == len(found)


@pytest.mark.parametrize("name", FUSED)
def test_matrices_read_along_their_last_dimension(name: str) -> None:
    """Whatever way the parameter lies: the down projection of an expert maps hidden neurons to the width."""
    model = mixture(name)
    for target in targets_of(describe(model), ("experts",)):
        mlp = describe(model).blocks[target.block].mlp
        assert mlp is not None
        assert target.weight.shape[-1] == (mlp.hidden if target.hidden else mlp.width)
        assert len(target.sources) == len(target.experts) == len(target.matrices) == len(target.weight)
        assert all(source is not None and (source.inside is not None) == target.hidden for source in target.sources)


def test_gpt_oss_lies_transposed_and_the_others_do_not() -> None:
    assert all(target.transposed for target in targets("gpt_oss"))
    assert not any(target.transposed for target in targets("mixtral", "experts", "attention", "router"))


def test_they_come_block_by_block() -> None:
    found = targets("mixtral", "experts", "attention")
    assert [target.block for target in found] == sorted(target.block for target in found)
    assert {target.part for target in found} == {"experts", "attention"}


def test_integers_and_broken_weights_are_refused() -> None:
    model = mixture("mixtral")
    model.model.layers[1].mlp.experts.gate_up_proj.data[2, 3, 4] = float("nan")  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"model.layers.1.mlp.experts.gate_up_proj holds NaN"):
        targets_of(describe(model), ("experts",))
    experts = mixture("mixtral").model.layers[0].mlp.experts  # type: ignore[union-attr]
    whole = experts.down_proj.to(torch.int8)
    experts.down_proj = torch.nn.Parameter(whole, requires_grad=False)
    from sparsebench.models.compression.quantisation.targets import _check

    with pytest.raises(ModelError, match=r"holds torch\.int8"):
        _check(experts.down_proj, "down")


def test_weights_that_several_maps_share_are_refused(build) -> None:
    """One of the places alone would get the packed weight."""
    model = build("llama")
    model.model.layers[1].mlp.down_proj.weight = model.model.layers[0].mlp.down_proj.weight
    with pytest.raises(ModelError, match=r"1\.mlp\.down_proj shares its weights with model\.layers\.0\.mlp\.down_proj"):
        targets_of(describe(model), ("ffn",))
