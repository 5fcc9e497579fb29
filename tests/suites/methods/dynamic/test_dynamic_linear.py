"""Linear mixtures as a method: the dense model at first, gates and experts that train, and what they cannot serve."""

import copy
from typing import Any

import pytest
import torch

from sparsebench.models.counting import count_parameters
from sparsebench.models.dynamic.linear.mixture import MixtureLinear
from sparsebench.models.errors import ModelError
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.traits import FFN, TRAINING_DATA
from sparsebench.suites.methods.dynamic._dynamic import DYNAMIC
from sparsebench.suites.methods.dynamic.dynamic_linear import DynamicLinear

from ..setups import choices, text


def mixtures(model: Any) -> list[MixtureLinear]:
    return [module for module in model.modules() if isinstance(module, MixtureLinear)]


@torch.no_grad()
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_at_first_it_is_the_dense_model(top_k: int) -> None:
    setup = text()
    ids = setup.context.batches()[0]["input_ids"]
    dense = setup.model.double()(input_ids=ids).logits
    model = DynamicLinear(top_k=top_k, train="none").prepare(setup.model, setup.context)
    torch.testing.assert_close(model(input_ids=ids).logits, dense, atol=1e-12, rtol=1e-12)


def test_the_last_blocks_and_the_named_layers() -> None:
    setup = choices()
    before = count_parameters(setup.model).total
    method = DynamicLinear(experts=4, blocks=1, targets=("down",), balance_coef=0.1)
    model: Any = method.prepare(setup.model, setup.context)
    (layer,) = mixtures(model)
    assert layer is model.model.layers[-1].mlp.down_proj
    assert (layer.num_kernels, layer.config.balance, layer.config.balance_coef) == (4, "cv2", 0.1)
    weight = layer.in_features * layer.out_features
    assert count_parameters(model).total == before + 3 * weight + 2 * 4 * layer.in_features


def test_experts_and_gates_train() -> None:
    setup = choices()
    method = DynamicLinear()
    model = method.prepare(setup.model, setup.context)
    before = copy.deepcopy(model.state_dict())
    method.fit(model, setup.data, setup.context)
    for name, layer in model.named_modules():
        if isinstance(layer, MixtureLinear):
            assert not torch.equal(layer.bank, before[f"{name}.bank"])
            assert not torch.equal(layer.router.weight, before[f"{name}.router.weight"])
            assert not torch.equal(layer.bank[0], layer.bank[1])


def test_equal_seeds_give_equal_gates_and_other_seeds_others() -> None:
    weights = []
    for seed in (0, 0, 1):
        setup = choices(seed=seed)
        weights.append(mixtures(DynamicLinear().prepare(setup.model, setup.context))[0].router.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_what_it_needs_and_gives() -> None:
    assert DynamicLinear().needs == {FFN, TRAINING_DATA}
    assert DynamicLinear(train="none").needs == {FFN}
    assert DynamicLinear().gives == {DYNAMIC}


def test_a_causal_model_has_no_sentences() -> None:
    setup = choices()
    with pytest.raises(NotApplicable, match="may not see what comes"):
        DynamicLinear(level="sentence").prepare(setup.model, setup.context)


def test_an_impossible_config_is_refused_before_anything_runs() -> None:
    with pytest.raises(ModelError, match="top_k=9"):
        DynamicLinear(top_k=9)
    with pytest.raises(ValueError, match="blocks=0"):
        DynamicLinear(blocks=0)
    with pytest.raises(ModelError, match="fc1"):
        DynamicLinear(targets=("fc1",))
