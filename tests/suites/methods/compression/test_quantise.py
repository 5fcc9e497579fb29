"""Quantisation as rows of a task: packed, smaller, in chains, and with warnings where something was not as asked."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.compression.quantisation import PackedTensor
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.traits import ATTENTION, CALIBRATION_DATA, EXPERTS, FFN
from sparsebench.suites.llm.backbones import tiny_mixture
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.methods.adapters.expert_lora import ExpertLoRA
from sparsebench.suites.methods.compression.quantise import Quantise
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.runner.identity.fingerprint import source_tree

from ...reasons import reason
from ..setups import choices, images, text

METHODS: tuple[Any, ...] = ("rtn", "gptq", "awq")


def packed(model: nn.Module) -> list[str]:
    return [name for name, value in model.named_parameters() if isinstance(value, PackedTensor)]


@pytest.mark.parametrize("method", METHODS)
def test_the_experts_of_a_stock_mixture_are_packed(method: Any) -> None:
    setup = text(tiny_mixture.load)
    before = stored_bytes(setup.model)
    model = Quantise(method=method, bits=3).prepare(setup.model, setup.context)
    assert packed(model) and all(".experts." in name for name in packed(model))
    assert stored_bytes(model) < before
    loss = setup.context.loss(model, setup.context.batches()[0])
    assert bool(loss.isfinite())


@pytest.mark.parametrize("method", METHODS)
def test_a_mixture_of_a_vision_transformer_and_a_new_head(method: Any) -> None:
    chain = [LlamaMoEV1(preset="2of8", train="none"), Quantise(method=method)]
    setup = images(chain=chain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tiny experts that no token reaches, and activations without a gate
        model = chain[1].prepare(chain[0].prepare(setup.model, setup.context), setup.context)
    head = {name: value.clone() for name, value in model.named_parameters() if name.startswith("head")}
    chain[1].fit(model, setup.data, setup.context)
    assert packed(model)
    assert any(not torch.equal(value, dict(model.named_parameters())[name]) for name, value in head.items())


def test_quantised_experts_are_healed_by_adapters() -> None:
    """A chain of conversion, quantisation and LoRA on the experts: the codes stay, the updates train."""
    setup = choices()
    model = LlamaMoEV1(preset="2of8", train="none").prepare(setup.model, setup.context)
    model = Quantise(method="rtn", train="none").prepare(model, setup.context)
    healing = ExpertLoRA(rank=2)
    model = healing.prepare(model, setup.context)
    codes = {name: dict(model.named_parameters())[name] + 0 for name in packed(model)}
    assert codes
    healing.fit(model, setup.data, setup.context)
    values = dict(model.named_parameters())
    assert all(torch.equal(value, values[name] + 0) for name, value in codes.items())
    assert any(bool(value.any()) for name, value in values.items() if "lora_B" in name)


def test_needs() -> None:
    assert Quantise(method="rtn").needs == {EXPERTS}
    assert Quantise().needs == {EXPERTS, CALIBRATION_DATA}
    assert Quantise(parts=("attention", "ffn")).needs == {ATTENTION, FFN, CALIBRATION_DATA}
    assert reason(SyntheticText, "llm", "tiny", Quantise()) == "the backbone is a causal LM: it has no experts"


def test_a_dense_twin() -> None:
    setup = text()
    model = Quantise(parts=("ffn",)).prepare(setup.model, setup.context)
    assert packed(model) and all("mlp" in name for name in packed(model))


def test_a_part_that_the_backbone_has_not_is_not_applicable() -> None:
    setup = text(tiny_mixture.load)
    with pytest.raises(NotApplicable, match="has no linear maps of: shared"):
        Quantise(method="rtn", parts=("shared",)).prepare(setup.model, setup.context)


def test_experts_without_tokens_are_a_warning() -> None:
    setup = text(tiny_mixture.load)
    with pytest.warns(UserWarning, match=r"rounded to nearest for want of tokens .*gate_up_proj\[0\]"):
        Quantise(min_tokens=10**6).prepare(setup.model, setup.context)


@pytest.mark.parametrize(
    "fields", [{"bits": 1}, {"group_size": 0}, {"method": "int8"}, {"parts": ("heads",)}, {"damping": 2.0}]
)
def test_settings_that_cannot_be_are_refused_at_once(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(fields))):
        Quantise(**fields)


def test_what_is_not_said_is_the_methods_own() -> None:
    """AWQ has zero points and clipping, as in its paper; configs of others, and so their cells, are what they were."""
    awq = Quantise(method="awq")
    assert (awq.symmetric, awq.clip) == (False, True)
    assert not awq.quantisation().grid.symmetric and awq.quantisation().awq.clip
    for method in ("rtn", "gptq"):
        other = Quantise(method=method)  # type: ignore[arg-type]
        assert (other.symmetric, other.clip) == (True, False)
    assert (Quantise(method="awq", symmetric=True, clip=False).symmetric, Quantise(symmetric=False).symmetric) == (
        True,
        False,
    )


@pytest.mark.parametrize("train", ["all", "all_but_router", "experts"])
def test_codes_do_not_train(train: Any) -> None:
    with pytest.raises(ValueError, match=f"train: {train}, but quantised weights do not train"):
        Quantise(train=train)


@pytest.mark.parametrize("root", ["methods.compression.quantise", "llm.tasks.deployment"])
def test_operators_of_packed_weights_are_code_of_the_cell(root: str) -> None:
    """They register when they are imported, so that no name of theirs is ever taken."""
    passed = {module.name for module in source_tree().closure([f"sparsebench.suites.{root}"])}
    for name in ("packed_operators", "kernels.native"):
        assert f"sparsebench.models.compression.quantisation.packed.{name}" in passed
