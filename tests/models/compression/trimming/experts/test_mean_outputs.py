"""Experts as constants: the layer's sum with the mean output in the place of each replaced expert's."""

import copy
from typing import Any

import pytest
import torch

from sparsebench.models.compression.trimming.experts.mean_outputs import replace_by_mean
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError

from .cases import CASES, experts_of, model_of, outputs, statistics_of


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_replaced_experts_give_their_mean(case: str) -> None:
    """Against the old experts one by one, on the inputs of the first mixture, which are the same before and after."""
    model = model_of(case)
    statistics = statistics_of(case, model)
    old = copy.deepcopy(model)
    report = replace_by_mean(model, statistics, 4)
    assert stored_bytes(model) == report.bytes_after < report.bytes_before
    layer, dropped = statistics[0], report.layers[0].dropped
    assert len(dropped) == 2
    calls: list[Any] = []
    module = mixtures_of(model)[0].mlp.site.get().experts
    module.register_forward_hook(lambda _, args, out: calls.append((*args, out)))
    assert torch.isfinite(outputs(case, model)).all()
    x_TD, index_TK, weight_TK, found_TD = calls[0]
    old_module: Any = experts_of(old)[0].module
    expected_TD = torch.zeros_like(x_TD)
    for place in range(index_TK.shape[1]):
        index_T1 = index_TK[:, place : place + 1]
        out_TD = old_module.get()(x_TD, index_T1, torch.ones_like(weight_TK[:, :1]))
        for expert in dropped:
            mean_D = layer.output[expert] / layer.counts[expert].clamp_min(1)
            out_TD = torch.where(index_T1 == expert, mean_D, out_TD)
        expected_TD += weight_TK[:, place : place + 1] * out_TD
    torch.testing.assert_close(found_TD, expected_TD, atol=1e-6, rtol=1e-6)
    for experts in experts_of(model):
        assert experts.num_experts == 4 and experts.table is not None


def test_experts_with_one_output_are_replaced_without_a_trace() -> None:
    """Their variance is 0, so that they go first: one that gives zeros, and those with one token or none."""
    model = model_of("GptOss")
    with torch.no_grad():
        for experts in experts_of(model):
            experts.weights(2).down.zero_()
    before = outputs("GptOss", model)
    statistics = statistics_of("GptOss", model)
    still = [tuple(expert for expert in range(6) if expert == 2 or layer.counts[expert] < 2) for layer in statistics]
    report = replace_by_mean(model, statistics, [6 - len(some) for some in still], score="frequency_variance")
    assert [layer.dropped for layer in report.layers] == still
    torch.testing.assert_close(outputs("GptOss", model), before, atol=1e-9, rtol=1e-9)


def test_all_stay_without_a_change_and_errors_leave_the_model_alone() -> None:
    model = model_of("Mixtral")
    before = outputs("Mixtral", model)
    statistics = statistics_of("Mixtral", model)
    replace_by_mean(model, statistics, 6)
    with pytest.raises(ModelError, match="keep=0"):
        replace_by_mean(model, statistics, 0)
    assert torch.equal(outputs("Mixtral", model), before)
    assert all(experts.table is None for experts in experts_of(model))
    replace_by_mean(model, statistics, 5)
    with pytest.raises(ModelError, match="already chooses among more experts"):
        replace_by_mean(model, statistics_of("Mixtral", model), 3, score="frequency")
