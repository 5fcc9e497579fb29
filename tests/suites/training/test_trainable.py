"""What each name of a part means, on models of several suites."""

from typing import Any, get_args

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from sparsebench.models.adapters import adapter_sets
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.methods.adapters.bitfit import BitFit
from sparsebench.suites.methods.adapters.houlsby import Houlsby
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.methods.adapters.mam import MAM
from sparsebench.suites.methods.adapters.ssf import SSF
from sparsebench.suites.methods.adapters.vpt_deep import VPTDeep
from sparsebench.suites.molecules.backbones import tiny as gin
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.training.trainable import Trains, train_only
from sparsebench.suites.vtab.backbones import tiny

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 11,
}
WRITES = Context(suite="llm", task="t", seed=0, target=Target("next-token", 11))
PREDICTS = Context(suite="vtab", task="t", seed=0, target=Target("classification", 3))


def open_names(model: Any) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def predictor() -> LinearHeadModel:
    generator = torch.Generator().manual_seed(0)
    return LinearHeadModel(tiny.load(generator), 3, generator)


def test_the_head_of_a_model_whose_body_no_describer_knows_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    model = LinearHeadModel(gin.load(generator), 3, generator)
    assert open_names(train_only(model, "head", PREDICTS)) == {"head.weight", "head.bias"}


def test_parts_of_a_stock_mixture() -> None:
    model = MixtralForCausalLM(MixtralConfig(num_local_experts=3, num_experts_per_tok=1, **SIZES))
    everything = {name for name, _ in model.named_parameters()}
    wanted = {
        "router": {name for name in everything if ".gate." in name},
        "experts": {name for name in everything if ".experts." in name},
        "norms": {name for name in everything if "norm" in name},
        "all": everything,
        "all_but_router": {name for name in everything if ".gate." not in name},
        "none": set(),
    }
    for train, names in wanted.items():
        assert len(names) or train == "none"
        assert open_names(train_only(model, train, WRITES)) == names, train  # type: ignore[arg-type]


def test_a_new_head_trains_with_every_part_but_the_one_of_a_model_that_writes_does_not() -> None:
    assert {"head.weight", "head.bias"} < open_names(train_only(predictor(), "norms", PREDICTS))
    assert open_names(train_only(predictor(), "head", PREDICTS)) == {"head.weight", "head.bias"}
    decoder = LlamaForCausalLM(LlamaConfig(**SIZES))
    assert not any("lm_head" in name for name in open_names(train_only(decoder, "norms", WRITES)))
    with pytest.raises(NotApplicable, match="train: head"):
        train_only(decoder, "head", WRITES)


@pytest.mark.parametrize("train", ["router", "experts", "adapters"])
def test_what_a_model_has_not_is_not_applicable_and_leaves_it_alone(train: Trains) -> None:
    model = predictor()
    with pytest.raises(NotApplicable, match=train):
        train_only(model, train, PREDICTS)
    assert open_names(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("method", [LoRA(), Houlsby(rank=2), BitFit(), SSF(), VPTDeep(length=2), MAM(rank=2)], ids=repr)
def test_adapters_are_what_attaching_leaves_trainable(method: Method) -> None:
    model: Any = method.prepare(predictor(), PREDICTS)
    attached = open_names(model)
    assert attached and adapter_sets(model)
    assert open_names(train_only(model, "adapters", PREDICTS)) == attached


def test_more_than_a_head_trains_in_float32() -> None:
    for train in get_args(Trains):
        if train in ("all", "norms", "head", "none"):
            model = train_only(predictor().bfloat16(), train, PREDICTS)
            wanted = torch.bfloat16 if train in ("head", "none") else torch.float32
            assert {parameter.dtype for parameter in model.parameters()} == {wanted}
