"""Dense twins of stock mixtures: everything but the FFNs is the mixture's, and a difference is found."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.conversion.densifying.stock_twins import TWINS, check_twin, dense_twin
from sparsebench.models.precision import cast

Build = Callable[[str], nn.Module]


def places(model: nn.Module) -> list[Any]:
    return [block.mlp for block in describe(model).blocks]


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_computes_what_the_mixture_does_with_its_ffns(name: str, build: Build) -> None:
    mixture = build(name)
    twin = dense_twin(mixture, 40)
    assert type(twin).__name__ == f"{TWINS[name]}ForCausalLM" and twin.config.intermediate_size == 40
    before = [place.site.get() for place in places(mixture)]
    modules = [place.site.get() for place in places(twin)]
    check_twin(mixture, twin, places(mixture), modules)
    assert [place.site.get() for place in places(mixture)] == before
    with torch.no_grad():
        twin.model.layers[1].self_attn.o_proj.weight.mul_(1.1)
    with pytest.raises(ModelError, match="does not compute"):
        check_twin(mixture, twin, places(mixture), modules)


def test_rotary_frequencies_of_a_twin_in_half_precision_are_those_of_the_mixture(build: Build) -> None:
    mixture: Any = cast(build("mixtral"), torch.bfloat16)
    twin = dense_twin(mixture, 40)
    assert next(twin.parameters()).dtype == torch.bfloat16
    frequencies = twin.model.rotary_emb.inv_freq
    assert frequencies.dtype == torch.float32 and torch.equal(frequencies, mixture.model.rotary_emb.inv_freq)


@pytest.mark.parametrize("name", ["olmoe", "llama"])
def test_models_without_a_known_twin_are_refused(name: str, build: Build) -> None:
    with pytest.raises(ModelError, match="no dense architecture"):
        dense_twin(build(name), 40)
