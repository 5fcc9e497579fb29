"""What is read from a stock mixture; that it computes and can be cut is in `test_experts.py`."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy.stock_mixtures import expert_sizes, stock_experts


@pytest.mark.parametrize("name", ["mixtral", "olmoe", "qwen2_moe", "qwen3_moe"])
def test_sizes_and_places(name: str, build: Callable[[str], nn.Module]) -> None:
    module = build(name).model.layers[0].mlp
    experts = stock_experts(module)
    assert (experts.num_experts, experts.top_k, experts.groups) == (4, 2, 1)
    assert experts.module is not None and experts.module.get() is module.experts
    assert experts.router.get() is module.gate and [site.name for site in experts.rows] == ["weight"]
    assert experts.numel() == sum(parameter.numel() for parameter in module.experts.parameters())
    assert expert_sizes(experts) == (32, module.experts.down_proj.shape[-1])


def test_experts_without_a_gate() -> None:
    module = nn.Module()
    module.gate = nn.Linear(4, 3)
    module.gate.top_k = 1
    module.experts = nn.Module()
    module.experts.up_proj = nn.Parameter(torch.randn(3, 6, 4))
    module.experts.down_proj = nn.Parameter(torch.randn(3, 4, 6))
    module.experts.act_fn = nn.ReLU()
    experts = stock_experts(module)
    weights = experts.weights(2)
    assert weights.gate is None and torch.equal(weights.up, module.experts.up_proj[2])
    x = torch.randn(5, 4)
    assert torch.equal(experts.hidden(2, x), (x @ weights.up.T).relu())
    assert expert_sizes(experts) == (4, 6) and [site.name for site in experts.rows] == ["weight", "bias"]


def test_sizes_are_read_without_taking_an_expert_out(
    build: Callable[[str], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of tensors that several processes share, one expert would gather all."""
    experts = stock_experts(build("mixtral").model.layers[0].mlp)

    def taken(expert: int) -> None:
        raise AssertionError("an expert was taken out")

    monkeypatch.setattr(experts, "weights", taken)
    assert expert_sizes(experts) == (32, 48)
