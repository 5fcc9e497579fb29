"""DoRA: merged into the weights it computes the same; that PEFT computes it too is in `files/test_peft_dora.py`."""

from collections.abc import Callable

import pytest
import torch

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.dora import DoRAConfig
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import NEAR

CONFIG = DoRAConfig(modules=("query", "output.dense"), r=3, alpha=5)


def test_merged(build: Callable, shake: Callable, example: Callable, run: Callable) -> None:
    model = build("bert")
    batch = example(model)
    adapters = attach(model, CONFIG)
    shake(adapters)
    adapted = run(model, batch)
    adapters.merge()
    agree(run(model, batch), adapted, "logits", within=NEAR)
    adapters.unmerge()
    agree(run(model, batch), adapted, "logits after unmerge")


def test_a_bfloat16_model_has_float32_adapters(build: Callable, example: Callable, run: Callable) -> None:
    model = build("bert").bfloat16()
    adapters = attach(model, CONFIG)
    parameters = [parameter for _, layer in adapters.layers() for _, parameter in layer.adapter_parameters()]
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert run(model, example(model)).dtype == torch.bfloat16


def test_other_modules_are_refused(build: Callable) -> None:
    with pytest.raises(ModelError, match=r"embeddings.LayerNorm is a LayerNorm: .* goes on linear layers"):
        attach(build("bert"), DoRAConfig(modules=(r"embeddings\.LayerNorm",)))
