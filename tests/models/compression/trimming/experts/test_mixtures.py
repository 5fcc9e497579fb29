import copy
from dataclasses import replace

import pytest
import torch

from sparsebench.models.compression.trimming.experts.mixtures import check_statistics, mixtures_of
from sparsebench.models.errors import ModelError

from ....zoo.text_families import build
from .cases import model_of, statistics_of


def test_dense_layers_are_no_mixtures() -> None:
    found = mixtures_of(model_of("DeepseekV3"))
    assert [mixture.path for mixture in found] == ["model.layers.1.mlp"] and found[0].block.index == 1
    with pytest.raises(ModelError, match="Phi3ForCausalLM has no mixture of experts"):
        mixtures_of(build("Phi3", "Phi3ForCausalLM"))


def test_statistics_of_another_model_are_refused() -> None:
    model = model_of("Mixtral")
    statistics = statistics_of("Mixtral", model)
    check_statistics(mixtures_of(model), statistics)
    check_statistics(mixtures_of(copy.deepcopy(model).bfloat16().float()), statistics_of("Mixtral", model.bfloat16()))
    with pytest.raises(
        ModelError, match=r"of 1 mixtures; the model has 2, model\.layers\.0\.mlp with 6 experts and so"
    ):
        check_statistics(mixtures_of(model), statistics[:1])
    mixtures_of(model)[1].experts.keep([0, 1, 2])
    with pytest.raises(ModelError, match=r"the first other one model\.layers\.1\.mlp with 6 experts"):
        check_statistics(mixtures_of(model), statistics)


def test_statistics_of_a_model_with_other_weights_are_refused() -> None:
    """Names and numbers agree: only the routers differ."""
    model = model_of("Mixtral")
    statistics = statistics_of("Mixtral", model)
    with torch.no_grad():
        mixtures_of(model)[1].experts.router.get().weight[0, 0] += 1
    with pytest.raises(ModelError, match=r"of another model: the router model\.layers\.1\.mlp\.gate had other weights"):
        check_statistics(mixtures_of(model), statistics)
    unknown = [replace(layer, router_digest=None) for layer in statistics]
    check_statistics(mixtures_of(model), unknown)
