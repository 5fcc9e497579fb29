"""Layers with numbers of their own: as many blocks on in each; uniform is `convert`; the search keeps its promise."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models import load, save
from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.allocation.conversion import convert_by_layer, convert_by_search, of_layer
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.presets import preset

Build = Callable[[str], nn.Module]


def config() -> MoEConfig:
    return preset("cmoe_3p1of8", num_shared=2, top_k=2)


def layers(model: nn.Module) -> list[MoEFFN]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


def test_each_layer_has_its_number_and_all_have_as_many_on(build: Build, example: Callable, run: Callable) -> None:
    model = build("llama")
    seen = calibrate(model, [example(model)])
    convert_by_layer(model, config(), (3, 0), seen)
    found = [layer.config for layer in layers(model)]
    assert [own.num_shared for own in found] == [3, 0]
    assert all(own.num_shared + own.top_k == 4 for own in found)


def test_a_router_that_learns_does_so_where_one_expert_is_chosen() -> None:
    learns = MoEConfig(num_experts=8, num_shared=2, top_k=2, score="topk_softmax")
    assert [of_layer(learns, shared).straight_through for shared in range(4)] == [False, False, False, True]
    assert of_layer(of_layer(learns, 3), 1) == of_layer(learns, 1)
    assert not of_layer(config(), 3).straight_through


def test_uniform_numbers_are_the_plain_conversion(build: Build, example: Callable, run: Callable) -> None:
    model, plain = build("llama"), build("llama")
    seen = calibrate(model, [example(model)])
    convert_by_layer(model, config(), (2, 2), seen)
    assert torch.equal(run(model, example(model)), run(convert(plain, config(), seen), example(plain)))
    with pytest.raises(ModelError, match=r"shared=\(1,\) for 2"):
        convert_by_layer(build("llama"), config(), (1,), seen)


def test_the_search_leaves_what_it_found(build: Build, example: Callable, run: Callable, tmp_path) -> None:
    """The model's mixtures have the numbers; it is no further from the dense model than uniform; it saves and loads."""
    model = build("llama")
    dense = copy.deepcopy(model)
    ids = example(model)
    seen = calibrate(model, [ids])
    found = convert_by_search(model, config(), seen, [ids], width=2)
    assert found.divergence <= found.uniform_divergence
    assert tuple(layer.config.num_shared for layer in layers(model)) == found.shared
    assert all(layer.config.num_shared + layer.config.top_k == 4 for layer in layers(model))
    again = convert_by_layer(dense, config(), found.shared, seen)
    torch.testing.assert_close(run(model, ids), run(again, ids))
    save(model, tmp_path / "model")
    assert torch.equal(run(load(tmp_path / "model"), ids), run(model, ids))
