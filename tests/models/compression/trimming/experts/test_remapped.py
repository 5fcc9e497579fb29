"""Experts behind a table, against what the table says, expert by expert."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Experts
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.remapped import NONE, RemappedExperts, check_remap, remap
from sparsebench.models.errors import ModelError

from .cases import CASES, experts_of, model_of

KEPT = [4, 0, 3]
TARGETS = [1, 0, 0, NONE, 2, -2]
"""Row 0 is expert 0, rows 1 and 2 share expert 4, row 3 is none, row 4 expert 3, row 5 the constant."""
SOURCES = {0: 0, 1: 4, 2: 4, 4: 3}


def single(experts: Experts, expert: int, x_TD: Tensor) -> Tensor:
    index = torch.full((len(x_TD), 1), expert)
    return experts.module.get()(x_TD, index, torch.ones(len(x_TD), 1, dtype=x_TD.dtype))  # type: ignore[union-attr]


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_each_row_of_the_router_is_what_the_table_says(case: str) -> None:
    model = model_of(case)
    mixture = mixtures_of(model)[0]
    before = copy.deepcopy(mixture.experts)
    width = mixture.mlp.width
    generator = torch.Generator().manual_seed(0)
    constants = torch.randn(1, width, generator=generator, dtype=torch.float64)
    x = torch.randn(8, width, generator=generator, dtype=torch.float64)
    index = torch.tensor([[0, 1], [1, 2], [3, 4], [5, 0], [3, 5], [2, 4], [6, 0], [6, 3]])
    weight = torch.rand(8, 2, generator=generator, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for token, chosen in enumerate(index.tolist()):
        for row, factor in zip(chosen, weight[token], strict=True):
            if row == 5:
                expected[token] += factor * constants[0]
            elif row in SOURCES:
                expected[token] += factor * single(before, SOURCES[row], x[token : token + 1])[0]
    remap(mixture.mlp, KEPT, TARGETS, constants)
    remapped = mixture.mlp.site.get().experts
    assert isinstance(remapped, RemappedExperts) and "rows=6, constants=1" in repr(remapped)
    torch.testing.assert_close(remapped(x, index, weight), expected)
    again = experts_of(model)[0]
    assert again.num_experts == 3 and again.top_k == before.top_k and again.rows == () and again.table is not None
    assert again.router.get() is mixture.experts.router.get()


@torch.no_grad()
def test_fewer_experts_behind_a_table() -> None:
    """Rows of what goes become none, others follow, and the router stays."""
    model = model_of("Mixtral")
    mixture = mixtures_of(model)[0]
    gate = mixture.experts.router.get().weight.clone()
    remap(mixture.mlp, KEPT, TARGETS, torch.ones(1, 16, dtype=torch.float64))
    experts = experts_of(model)[0]
    kept = experts.weights(2).down.clone()
    experts.keep([2, 0])
    assert experts.table is not None and experts.table.get().tolist() == [-1, 1, 1, -1, 0, -2, -1]
    assert torch.equal(experts.weights(0).down, kept) and torch.equal(experts.router.get().weight, gate)
    assert experts.num_experts == 2 and experts.top_k == 2 and model.config.num_local_experts == 6


@torch.no_grad()
@pytest.mark.parametrize("case", ["converted", "vit", "stock"])
def test_kernels_in_float32(case: str, build: Callable[[str], nn.Module]) -> None:
    """Those of our own bank and of transformers, with one expert twice for a token and with none, as in float64."""
    model: Any = build("mixtral") if case == "stock" else model_of(case)
    mixture = mixtures_of(model)[0]
    targets = [1, 0, 0, NONE] if case == "stock" else TARGETS
    kept = [2, 0] if case == "stock" else KEPT
    width = mixture.mlp.width
    remap(mixture.mlp, kept, targets, torch.ones(1, width, dtype=next(model.parameters()).dtype))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, width, generator=generator, dtype=torch.float64)
    index = torch.rand(40, len(targets), generator=generator).topk(2).indices
    index[:2] = torch.tensor([[1, 2], [3, 3]])
    weight = torch.rand(40, 2, generator=generator, dtype=torch.float64)
    remapped = mixture.mlp.site.get().experts
    narrow = remapped.float()(x.float(), index, weight.float())
    if case == "stock":
        model.set_experts_implementation("eager")
    torch.testing.assert_close(remapped.double()(x, index, weight).float(), narrow, atol=1e-5, rtol=1e-5)


def test_gradients_reach_experts_and_constants() -> None:
    model = model_of("Qwen3Moe")
    mixture = mixtures_of(model)[0]
    remap(mixture.mlp, KEPT, TARGETS, torch.ones(1, 16, dtype=torch.float64))
    remapped = mixture.mlp.site.get().experts
    x = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.rand(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    index = torch.tensor([[0, 5], [1, 3], [4, 2]])
    assert torch.autograd.gradcheck(lambda a, b: remapped(a, index, b), (x, weight))
    remapped(x, index, weight).sum().backward()
    assert remapped.constants.grad.unique().tolist() == [weight[0, 1].item()]
    assert remapped.base_layer.down_proj.grad.abs().amax((1, 2)).gt(0).tolist() == [True, True, True]


def test_constants_of_frozen_experts_are_frozen() -> None:
    model = model_of("Mixtral").requires_grad_(False)
    remap(mixtures_of(model)[0].mlp, KEPT, TARGETS, torch.ones(1, 16))
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_what_cannot_be_put_behind_a_table() -> None:
    model = model_of("Mixtral")
    mlp = mixtures_of(model)[0].mlp
    with pytest.raises(ModelError, match=r"keep\(\[0, 9\]\) needs different experts"):
        remap(mlp, [0, 9], TARGETS)
    assert experts_of(model)[0].num_experts == 6
    remap(mlp, KEPT, TARGETS)
    with pytest.raises(ModelError, match="the router already chooses among more experts than there are"):
        check_remap(mixtures_of(model)[0].mlp)
    mlp.experts = None
    with pytest.raises(ModelError, match="has no experts that are called with"):
        check_remap(mlp)
