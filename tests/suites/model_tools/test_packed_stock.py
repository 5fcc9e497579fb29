"""Packed weights in the stock form have the codes that they had: against the dense export of what they stand for."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch.testing import assert_close

from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, dequantise, packed_weights, quantise
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.models.moe.routing.choice_bias import ChoiceBias
from sparsebench.models.moe.stock_export import stock_model
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.packed_stock import packed_stock_model

CONFIGS = {
    "Mixtral": MoEConfig(num_experts=4, scale=3.0),
    "Qwen2Moe": MoEConfig(num_experts=4, num_shared=1, top_k=2),
}
"""By the architecture that they go out as; the first one's factor is no power of 2."""


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("grid", [Grid(bits=4, group_size=32), Grid(bits=8, group_size=None)], ids=["4", "8"])
def test_nothing_is_rounded_again(name: str, grid: Grid, work: Callable[..., Work]) -> None:
    model = work(CONFIGS[name]).model
    parts = ("experts", "attention") if name == "Mixtral" else ("experts", "shared")
    quantise(model, QuantiseConfig(method="rtn", grid=grid, parts=parts))
    stock = packed_stock_model(model)
    assert type(stock).__name__ == f"{name}ForCausalLM"
    dense = copy.deepcopy(model)
    dequantise(dense)
    expected = stock_model(dense, engine="compressed-tensors").state_dict()
    packed = dict(packed_weights(stock))
    assert len(packed) == {"Mixtral": 2 * (2 + 4), "Qwen2Moe": 2 * (2 + 3)}[name]
    for path, value in packed.items():
        # One rounding of a scale and one of a product, where the factor is not a power of 2.
        assert_close(value.dense(), expected[path], rtol=4 * torch.finfo(torch.float32).eps, atol=0)
    for path, value in stock.state_dict().items():
        if path not in packed:
            assert torch.equal(value, expected[path]), path


def test_half_precision_has_the_same_codes(work: Callable[..., Work]) -> None:
    model = work(CONFIGS["Mixtral"]).model.to(torch.bfloat16)
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=8, group_size=32)))
    (codes, *_) = [value.quantised().codes for _, value in packed_weights(model)]
    stock = packed_stock_model(model)
    assert stock.dtype == torch.bfloat16 and stock.config.dtype == torch.bfloat16
    (found, *_) = [value.quantised().codes for _, value in packed_weights(stock)]
    assert torch.equal(found, codes)


def test_what_is_in_single_precision_stays_in_it(work: Callable[..., Work]) -> None:
    model = work(MoEConfig(num_experts=4, num_shared=1, top_k=2, score="sigmoid", balance="bias")).model
    model.to(torch.bfloat16)
    biases = [module for module in model.modules() if isinstance(module, ChoiceBias)]
    for each in biases:
        each.value += 1 / 3
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=4, group_size=32)))
    stock = packed_stock_model(model)
    found = [value for name, value in stock.named_buffers() if name.endswith("e_score_correction_bias")]
    assert len(found) == len(biases) == 2
    for value, each in zip(found, biases, strict=True):
        assert value.dtype == torch.float32 and torch.equal(value, each.value)
    assert stock.dtype == torch.bfloat16


def test_what_the_format_cannot_say(work: Callable[..., Work]) -> None:
    config = CONFIGS["Mixtral"]

    def quantised(config: MoEConfig, **grid: object) -> object:
        model = work(config).model
        quantise(model, QuantiseConfig(method="rtn", grid=Grid(**grid)))  # type: ignore[arg-type]
        return model

    with pytest.raises(ModelError, match="have zero points"):
        packed_stock_model(quantised(config, group_size=32, symmetric=False))
    with pytest.raises(ModelError, match="32 columns, which groups of 20 do not divide"):
        packed_stock_model(quantised(config, group_size=20))
    mixed = work(config).model
    quantise(mixed, QuantiseConfig(method="rtn", parts=("experts",)), grids={0: Grid(bits=4), 1: Grid(bits=8)})
    with pytest.raises(ModelError, match="2 different grids"):
        packed_stock_model(mixed)
