"""k at run time: as if the model had been made with it; by layer; undone; saved or refused; the greedy exchange."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from sparsebench.models import load, save
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert, export
from sparsebench.models.moe.routing.top_k import greedy_top_k, set_top_k, top_k_by_layer, with_top_k

Build = Callable[[str], nn.Module]
STOCK = ("mixtral", "qwen2_moe", "qwen3_moe")


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_mixture_is_as_if_its_configuration_said_so(
    name: str, build: Build, example: Callable, run: Callable, tmp_path: Path
) -> None:
    model: Any = build(name)
    before = run(model, example(model))
    config = copy.deepcopy(model.config)
    config.num_experts_per_tok = 3
    wanted = type(model)(config).eval()
    wanted.load_state_dict(model.state_dict())
    with with_top_k(model, 3):
        assert torch.equal(run(model, example(model)), run(wanted, example(model)))
    assert torch.equal(run(model, example(model)), before) and model.config.num_experts_per_tok == 2
    set_top_k(model, 3)
    model.save_pretrained(tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(run(again, example(model)), run(wanted, example(model)))


def test_layers_of_a_stock_mixture_differ_for_a_while_only(build: Build, example: Callable, run: Callable) -> None:
    model = build("qwen3_moe")
    with with_top_k(model, [1, 4]):
        assert top_k_by_layer(model) == [1, 4]
        mixed = run(model, example(model))
    with with_top_k(model, 4):
        assert not torch.equal(run(model, example(model)), mixed)
    with pytest.raises(ModelError, match="one number for all layers"):
        set_top_k(model, [1, 4])
    assert top_k_by_layer(model) == [2, 2]


@pytest.mark.parametrize("fields", [{"score": "none"}, {"scale": "paper"}, {"scale": 1.5}])
def test_a_converted_model_is_as_if_converted_so(
    fields: dict[str, Any], build: Build, example: Callable, run: Callable, tmp_path: Path
) -> None:
    model, wanted = build("llama"), build("llama")
    convert(model, MoEConfig(num_experts=5, top_k=2, **fields))
    convert(wanted, MoEConfig(num_experts=5, top_k=3, **fields))
    before = run(model, example(model))
    with with_top_k(model, 3):
        assert torch.equal(run(model, example(model)), run(wanted, example(model)))
    assert torch.equal(run(model, example(model)), before)
    set_top_k(model, [3, 1])
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert top_k_by_layer(again) == [3, 1]
    assert torch.equal(run(again, example(model)), run(model, example(model)))


def test_stock_checkpoints_say_one_k_and_refuse_several(
    build: Build, example: Callable, run: Callable, tmp_path: Path
) -> None:
    model = build("llama")
    convert(model, MoEConfig(num_experts=5, top_k=2))
    set_top_k(model, 1)
    export(model, tmp_path / "one")
    stock = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    assert stock.config.num_experts_per_tok == 1
    torch.testing.assert_close(run(stock, example(model)), run(model, example(model)), atol=1e-5, rtol=1e-4)
    set_top_k(model, [1, 2])
    with pytest.raises(ModelError, match="route differently"):
        export(model, tmp_path / "two")


def test_what_cannot_be(build: Build) -> None:
    model = build("qwen3_moe")
    with pytest.raises(ModelError, match=r"top_k=5 must lie in 1\.\.4"):
        set_top_k(model, 5)
    with pytest.raises(ModelError, match="for 2 mixtures"), with_top_k(model, [1, 2, 3]):
        raise AssertionError
    with pytest.raises(ModelError, match="no mixture"):
        top_k_by_layer(build("llama"))


def test_the_exchange_finds_what_helps_and_keeps_the_mean(build: Build) -> None:
    """The loss wants 3 experts in the first layer and 1 in the second; then what is uniform."""
    model = build("qwen3_moe")

    def loss() -> float:
        first, second = top_k_by_layer(model)
        return abs(first - 3) + abs(second - 1)

    assert greedy_top_k(model, loss) == ([3, 1], 0.0, 2.0)
    assert top_k_by_layer(model) == [2, 2]
    assert greedy_top_k(model, lambda: 1.0) == ([2, 2], 1.0, 1.0)
