"""VeRA: merged into the weights it computes the same; that PEFT computes it too is in `files/test_peft_vera.py`."""

from collections.abc import Callable

import pytest
import torch

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.vera import VeRAConfig
from sparsebench.models.errors import ModelError

CONFIG = VeRAConfig(modules=("query", "output.dense"), r=3)


def test_merged(build: Callable, shake: Callable, example: Callable, run: Callable) -> None:
    model = build("bert")
    batch = example(model)
    adapters = attach(model, CONFIG)
    shake(adapters)
    adapted = run(model, batch)
    adapters.merge()
    torch.testing.assert_close(run(model, batch), adapted, atol=1e-5, rtol=1e-5)
    adapters.unmerge()
    assert torch.equal(run(model, batch), adapted)


def test_a_bfloat16_model_has_float32_adapters(build: Callable, example: Callable, run: Callable) -> None:
    model = build("bert").bfloat16()
    adapters = attach(model, CONFIG)
    parameters = [parameter for _, layer in adapters.layers() for _, parameter in layer.adapter_parameters()]
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert run(model, example(model)).dtype == torch.bfloat16


def test_other_modules_are_refused(build: Callable) -> None:
    with pytest.raises(ModelError, match=r"embeddings.LayerNorm is a LayerNorm: .* goes on linear layers"):
        attach(build("bert"), VeRAConfig(modules=(r"embeddings\.LayerNorm",)))


def test_the_projections_are_one_pair(build: Callable) -> None:
    """Of the sizes of the widest layer, once in every state, and of no layer's parameters."""
    model = build("bert")
    adapters = attach(model, CONFIG)
    shared = {id(layer.projections) for _, layer in adapters.layers()}
    assert len(shared) == 1 and adapters.count() == sum(32 + 3 for _ in adapters.layers())
    state = {key: value for key, value in model.state_dict().items() if ".projections." in key}
    assert [tuple(value.shape) for value in state.values()] == [(3, 50), (32, 3)]
    model.load_state_dict(model.state_dict())


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(ModelError, match="r=0 must be a whole number"):
        VeRAConfig(modules=("query",), r=0)
