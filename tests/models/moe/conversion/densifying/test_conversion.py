"""A dense model from a mixture: exact where it must be, plain transformers on disk, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.densifying.conversion import mixture_to_dense, shared_gates
from sparsebench.models.moe.conversion.densifying.stock_twins import TWINS

Build = Callable[[str], nn.Module]


def saved(model: Any, folder: Path) -> Any:
    """The model as plain transformers reads it."""
    model.save_pretrained(folder)
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("num_shared", [0, 2])
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_all_experts_of_a_cut_model_give_the_dense_model_back(
    name: str, num_shared: int, build: Build, example: Callable, run: Callable
) -> None:
    """All on with constant gates: 5 blocks of 10 neurons, in another order."""
    model = build(name)
    ids = example(model)
    before = run(model, ids)
    convert(model, MoEConfig(num_experts=5, num_shared=num_shared, top_k=5 - num_shared, score="none"))
    dense, _ = mixture_to_dense(model, [ids], size="total")
    assert type(dense).__name__.startswith(name.capitalize()) and "parts" not in str(dense.config)
    torch.testing.assert_close(run(dense, ids), before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", TWINS)
def test_a_stock_mixture_with_constant_gates_is_exact(
    name: str, build: Build, example: Callable, run: Callable, tmp_path: Path
) -> None:
    """Routers of zeros that choose all experts; a gate of zeros weighs a shared expert by a half."""
    model = build(name)
    with torch.no_grad():
        for block in describe(model).blocks:
            assert block.mlp is not None and block.mlp.experts is not None
            router: Any = block.mlp.experts.router.get()
            router.weight.zero_()
            router.top_k = block.mlp.experts.num_experts
            if name == "qwen2_moe":
                block.mlp.site.get().shared_expert_gate.weight.zero_()
    if name != "mixtral":
        model.config.norm_topk_prob = False  # type: ignore[union-attr]
    ids = example(model)
    before = run(model, ids)
    dense, kept = mixture_to_dense(model, [ids], size="total")
    assert all(found.experts == (0, 1, 2, 3) for found in kept.values())
    torch.testing.assert_close(run(dense, ids), before, atol=1e-5, rtol=1e-4)
    assert torch.equal(run(saved(dense, tmp_path), ids), run(dense, ids))
    assert torch.equal(run(model, ids), before)


def test_active_size_is_plain_transformers_with_equal_outputs(
    build: Build, example: Callable, run: Callable, tmp_path: Path
) -> None:
    """1 shared block of 10 neurons and 2 experts of 4."""
    model = build("llama")
    ids = example(model)
    convert(model, MoEConfig(num_experts=5, num_shared=1, top_k=2, score="softmax_topk"), [ids])
    mixed = run(model, ids)
    dense, kept = mixture_to_dense(model, [ids])
    assert type(dense) is transformers.LlamaForCausalLM and dense.config.intermediate_size == 30
    assert all(len(found.experts) == 2 for found in kept.values())
    again = saved(dense, tmp_path)
    assert torch.equal(run(again, ids), run(dense, ids))
    assert run(dense, ids).isfinite().all() and not torch.allclose(run(dense, ids), mixed)


def test_the_mean_gate_of_a_shared_expert(build: Build, example: Callable) -> None:
    model: Any = build("qwen2_moe")
    with torch.no_grad():
        model.model.layers[0].mlp.shared_expert_gate.weight.zero_()
    mlps = {block.index: block.mlp for block in describe(model).blocks if block.mlp is not None}
    gates = shared_gates(model, mlps, [example(model)])
    assert gates[0] == 0.5 and 0 < gates[1] < 1 and gates[1] != 0.5
    assert not model.model.layers[0].mlp.shared_expert_gate._forward_hooks


def test_what_cannot_become_dense(build: Build, example: Callable) -> None:
    dense = build("llama")
    with pytest.raises(ModelError, match="has no mixture of experts"):
        mixture_to_dense(dense, [example(dense)])
    model = build("olmoe")
    with pytest.raises(ModelError, match="no dense architecture"):
        mixture_to_dense(model, [example(model)])
    aligned = build("llama")
    convert(aligned, MoEConfig(align=True), [example(aligned)])
    with pytest.raises(ModelError, match="alignment"):
        mixture_to_dense(aligned, [example(aligned)])
