from typing import Any

import peft
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from sparsebench.models.anatomy.sites import (
    Site,
    Wrapper,
    branch_sites,
    has_parameters,
    head_at,
    head_of,
    inner_sites,
    is_wrapper,
    joined,
    see_through,
)


def test_see_through_finds_what_lies_below_all_wrappers() -> None:
    model = nn.Sequential(Wrapper(Wrapper(nn.Linear(2, 3))))
    site = see_through(model, "0")
    assert isinstance(site.get(), nn.Linear) and isinstance(site.parent, Wrapper) and site.name == "base_layer"
    assert see_through(model, "0", "a.b").path == "a.b.0.base_layer.base_layer"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of PEFT
def test_peft_is_seen_through_around_experts_and_routers_only() -> None:
    """Whoever replaced a linear layer below one of its wrappers would lose what that adapts."""
    model = nn.Module()
    model.experts = nn.Module()
    model.experts.up = nn.Parameter(torch.randn(3, 4, 2))
    model.experts.down = nn.Parameter(torch.randn(3, 2, 4))
    model.linear = nn.Linear(2, 2)
    model.transposed = Conv1D(2, 3)
    targets = ["experts.up", "experts.down", "linear.weight", "transposed.weight"]
    wrapped: Any = peft.get_peft_model(model, peft.LoraConfig(r=1, target_modules=[], target_parameters=targets))
    inner = wrapped.base_model.model
    assert see_through(inner, "experts").path == "experts.base_layer.base_layer"
    assert see_through(inner, "experts").get().down.shape == (3, 2, 4)
    for name in ("linear", "transposed"):
        assert see_through(inner, name).path == name and type(getattr(inner, name)) is type(inner.experts)
    assert is_wrapper(inner.experts) and not is_wrapper(inner.linear) and not is_wrapper(inner)


def test_keep_rows_cuts_parameters_and_buffers() -> None:
    module = nn.Linear(2, 4)
    module.weight.requires_grad_(False)
    module.register_buffer("seen", torch.arange(4))
    weight = module.weight.detach().clone()
    kept = torch.tensor([3, 1])
    for name in ("weight", "bias", "seen"):
        Site(module, name).keep_rows(kept)
    assert torch.equal(module.weight, weight[[3, 1]]) and module.seen.tolist() == [3, 1]
    assert (module.weight.requires_grad, module.bias.requires_grad) == (False, True)
    assert isinstance(module.weight, nn.Parameter) and "seen" in dict(module.named_buffers())


def test_a_module_is_no_tensor() -> None:
    with pytest.raises(TypeError, match="0 is a Linear, not a parameter"):
        Site(nn.Sequential(nn.Linear(2, 2)), "0").tensor()


def test_heads_and_inner_sites() -> None:
    model = nn.Module()
    model.body = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert head_of(model, model.body) is None and head_of(model.body, model.body) is None
    model.head = nn.Linear(2, 1)
    found = head_of(model, model.body)
    assert found is not None and found.get() is model.head
    assert [site.path for site in inner_sites(model, (model.head,))] == ["body.0"]
    assert (joined("", "a"), joined("a.b", "c")) == ("a", "a.b.c")
    at = head_at(model, "head")
    assert at is not None and at.get() is model.head
    model.none = nn.Identity()
    assert head_at(model, "none") is None and head_at(model, "nothing") is None
    first, second = branch_sites(model, (("body", "head"), ("head",)))
    assert [site.get() for site in first] == [model.body, model.head] and [site.name for site in second] == ["head"]
    assert has_parameters(model.body) and not has_parameters(model.body[1])
