"""Outputs of two models on a few rows."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.comparison import ROWS, TOKENS, check_outputs, few_rows


def test_rows_are_what_a_model_takes(build: Callable[[str], nn.Module]) -> None:
    ids = few_rows(build("bert"))
    assert ids is not None and ids["input_ids"].shape == (ROWS, TOKENS) and int(ids["input_ids"].max()) < 64
    images = few_rows(build("vit").bfloat16())
    assert images is not None and images["pixel_values"].shape == (ROWS, 3, 16, 16)
    assert images["pixel_values"].dtype == torch.bfloat16
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_heads": 2, "num_layers": 1, "vocab_size": 32}
    both = few_rows(transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes)))
    assert both is not None and set(both) == {"input_ids", "decoder_input_ids"}
    assert few_rows(build("timm_vit")).shape == (ROWS, 3, 32, 32)
    own = timm.create_model("vit_tiny_patch16_224", img_size=(32, 64), in_chans=4, depth=1)
    assert few_rows(own).shape == (ROWS, 4, 32, 64), "and not what its published weights take"
    assert few_rows(timm.create_model("resnet10t", in_chans=1)).shape[1] == 1
    assert few_rows(build("llama").to("meta")) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_must_agree_to_rounding(build: Callable[[str], nn.Module], dtype: torch.dtype) -> None:
    model: Any = build("llama").to(dtype).train()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.lm_head.weight.mul_(1 + 2 * torch.finfo(dtype).eps)
    check_outputs(model, other, "rounding")
    assert model.training and other.model.layers[0].training
    assert not any(module._forward_hooks for module in model.modules())
    with torch.no_grad():
        other.lm_head.weight.mul_(0.8)  # a fifth was rounding, in 16 bits
    with pytest.raises(ModelError, match="another: on a few random rows outputs differ by"):
        check_outputs(model, other, "another")


def test_scripts_are_compared_too() -> None:
    """They take no hook, and none stays on the layers before them."""
    model = nn.Sequential(nn.Linear(3, 3), torch.jit.script(nn.Linear(3, 4)))
    check_outputs(model, copy.deepcopy(model), "scripted", torch.ones(2, 3))
    assert not model[0]._forward_hooks


def test_random_numbers_are_the_same_and_nobody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of devices on which the model is not, where others may be at work, are neither read nor set."""

    def touched(*args: object, **keywords: object) -> None:
        raise AssertionError("a device that the model does not use")

    for name in ("manual_seed_all", "get_rng_state", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, touched)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    model = nn.Sequential(nn.Linear(3, 4))
    model.register_forward_hook(lambda module, given, out: out + torch.randn(out.shape))
    before = torch.get_rng_state()
    check_outputs(model, copy.deepcopy(model), "drawn", torch.ones(2, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_few_tokens_may_differ(build: Callable[[str], nn.Module]) -> None:
    """As if a tie of two experts had been broken the other way: the last token of each row, which no other sees."""
    model: Any = build("llama")
    other = copy.deepcopy(model)
    other.lm_head.register_forward_hook(lambda module, given, out: torch.cat([out[:, :-1], -out[:, -1:]], dim=1))
    check_outputs(model, other, "a tie")


def test_outputs_of_another_shape_and_outputs_that_are_not_finite(build: Callable[[str], nn.Module]) -> None:
    model: Any = build("llama")
    other = copy.deepcopy(model)
    other.lm_head = nn.Linear(32, 65, bias=False)
    with pytest.raises(ModelError, match="differ by inf"):
        check_outputs(model, other, "wider")
    other = copy.deepcopy(model)
    nn.init.constant_(other.lm_head.weight, torch.nan)
    with pytest.raises(ModelError, match="differ by nan"):
        check_outputs(model, other, "broken")
    check_outputs(other, copy.deepcopy(other), "as broken as before")
