"""NAEE against a slow reference that cuts the model for every set, and what it refuses."""

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.subset import keep_best_subsets
from sparsebench.models.errors import ModelError

from ...quantisation.models import doubled, fingerprints
from ...slimming.mixtures import batches, mixture, run


def real_inputs(name: str, model: nn.Module, place: int) -> Tensor:
    """What enters a mixture of the whole model, real tokens only (1, T, D)."""
    seen: list[Tensor] = []
    hook = mixtures_of(model)[place].mlp.site.get().register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        for batch in batches(name):
            run(model, batch)
    hook.remove()
    rows = [x_BLD[batch["attention_mask"].bool()] for x_BLD, batch in zip(seen, batches(name), strict=True)]
    return torch.cat(rows).unsqueeze(0)


def output(module: Any, x: Tensor) -> Tensor:
    found = module(x)
    return found[0] if isinstance(found, tuple) else found


@torch.no_grad()
def slow(name: str, place: int, keep: int) -> tuple[tuple[int, ...], float]:
    """The best set by cutting a copy of the model each time, and the square of what it misses."""
    model = doubled(name)[0]
    x = real_inputs(name, model, place)
    whole = output(mixtures_of(model)[place].mlp.site.get(), x)
    found = {}
    for subset in itertools.combinations(range(4), keep):
        cut = copy.deepcopy(model)
        mixtures_of(cut)[place].experts.keep(subset)
        found[subset] = (output(mixtures_of(cut)[place].mlp.site.get(), x) - whole).square().sum().item()
    best = min(found, key=found.__getitem__)
    return best, found[best]


@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe"])
def test_the_set_is_the_one_that_a_cut_model_misses_least_with(name: str) -> None:
    """One router renormalises the weights of what it chose, the other does not and has a shared expert beside it."""
    model = doubled(name)[0]
    report, errors = keep_best_subsets(model, batches(name), keep=2)
    assert [layer.kept for layer in report.layers] == [slow(name, place, 2)[0] for place in range(2)]
    assert report.bytes_after < report.bytes_before and all(0 < error < 1 for error in errors)
    kept = describe(model).blocks[0].mlp
    assert kept is not None and kept.experts is not None and kept.experts.num_experts == 2


def test_the_error_is_that_of_the_cut_mixture() -> None:
    model = doubled("mixtral")[0]
    x = real_inputs("mixtral", model, 0)
    with torch.no_grad():
        whole = output(mixtures_of(model)[0].mlp.site.get(), x).square().sum().item()
    _, errors = keep_best_subsets(model, batches("mixtral"), keep=3)
    # Stock routers take their softmax in float32.
    assert errors[0] == pytest.approx(slow("mixtral", 0, 3)[1] / whole, rel=1e-6)
    assert keep_best_subsets(mixture("mixtral"), batches("mixtral"), keep=1.0)[1] == pytest.approx((0, 0), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mixtral", {"keep": 2, "most": 5}, "4 experts have 6 sets of 2, more than 5"),
        ("mixtral", {"keep": 5}, "has 1..4 to keep"),
        ("deepseek_v3", {"keep": 2}, "does not take the best of one softmax"),
    ],
)
def test_what_cannot_be_leaves_the_model_as_it_was(name: str, options: Any, message: str) -> None:
    model = mixture(name)
    before = fingerprints(model)
    with pytest.raises(ModelError, match=message):
        keep_best_subsets(model, batches(name), **options)
    assert fingerprints(model) == before
