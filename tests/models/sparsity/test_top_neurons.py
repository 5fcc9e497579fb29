"""The oracle against a slow reference, token by token; all neurons are the dense model; what is refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.top_neurons import By, keep_top_neurons, top_entries

Build = Callable[[str], nn.Module]


def reference(mlp: Any, x_TD: Tensor, count: int, by: By) -> Tensor:
    """The gated FFN of one token after another, neuron by neuron."""
    gate, up, down = (layer.weight for layer in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
    rows = []
    for x in x_TD:
        h = [float(F.silu(gate[i] @ x) * (up[i] @ x)) for i in range(len(up))]
        size = [abs(value) * (float(down[:, i].norm()) if by == "contribution" else 1.0) for i, value in enumerate(h)]
        kept = sorted(range(len(h)), key=lambda i: -size[i])[:count]
        rows.append(sum(h[i] * down[:, i] for i in kept))
    return torch.stack(rows)  # type: ignore[arg-type]


@torch.no_grad()
@pytest.mark.parametrize("by", ["activation", "contribution"])
def test_each_token_keeps_its_largest_neurons(build: Build, by: By) -> None:
    model = build("llama").double()
    dense = copy.deepcopy(model.model.layers[0].mlp)  # type: ignore[union-attr]
    x = torch.randn(7, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    keep_top_neurons(model, 0.3, by)
    found = model.model.layers[0].mlp(x[None])[0]  # type: ignore[union-attr]
    torch.testing.assert_close(found, reference(dense, x, 15, by))
    other: By = "activation" if by == "contribution" else "contribution"
    assert not torch.allclose(found, reference(dense, x, 15, other))


@torch.no_grad()
def test_all_neurons_are_the_dense_model_and_describers_see_through(
    build: Build, example: Callable[..., Tensor], run: Callable[[nn.Module, Tensor], Tensor]
) -> None:
    for family in ("llama", "bert"):
        model = build(family)
        ids = example(model)
        before = run(model, ids)
        kinds = [type(block.mlp.down.get()) for block in describe(model).blocks if block.mlp and block.mlp.down]
        keep_top_neurons(model, 1.0)
        assert torch.equal(run(model, ids), before)
        assert [type(b.mlp.down.get()) for b in describe(model).blocks if b.mlp and b.mlp.down] == kinds


def test_the_gradient_reaches_what_stays() -> None:
    h = torch.tensor([[3.0, -4.0, 1.0, 0.5]], requires_grad=True)
    top_entries(h, h.detach().abs(), 2).sum().backward()
    assert h.grad is not None and h.grad.tolist() == [[1.0, 1.0, 0.0, 0.0]]


def test_what_has_no_neurons_to_rank_is_refused(build: Build) -> None:
    with pytest.raises(ModelError, match="must lie above 0"):
        keep_top_neurons(build("llama"), 0.0)
    with pytest.raises(ModelError, match="only gated and plain FFNs"):
        keep_top_neurons(build("mixtral"), 0.5)
