"""A model trains on, zeros and dtype stay, and packed weights are refused."""

from collections.abc import Callable

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.steps.healing import Heal
from sparsebench.suites.model_tools.steps.weights import Prune, Quantise


def test_the_loss_falls_and_zeros_stay(work: Callable[..., Work]) -> None:
    one = work(MoEConfig(num_experts=4, balance="switch"))
    one.model.to(torch.bfloat16)
    Prune(method="magnitude", parts=("experts",)).apply(one)
    before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
    lines: list[str] = []
    one.say = lines.append
    line = Heal(tokens=3000, learning_rate=1e-2).apply(one)
    first, last = (float(each) for each in line.partition("loss ")[2].removesuffix(" nats a token").split(" -> "))
    assert last < first - 0.5 and lines[0].startswith("  ") and "of 3000 tokens" in lines[0]
    after = dict(one.model.named_parameters())
    assert all(weight.dtype == torch.bfloat16 and weight.requires_grad for weight in after.values())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(".router." in name for name in moved) and any("embed_tokens" in name for name in moved)
    for name in before:
        if ".experts." in name:
            assert torch.equal(before[name] == 0, after[name] == 0), name


def test_what_trains_is_named(work: Callable[..., Work]) -> None:
    one = work()
    before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
    Heal(tokens=200, train="norms").apply(one)
    moved = {name for name, weight in one.model.named_parameters() if not torch.equal(before[name], weight)}
    assert moved and all("norm" in name for name in moved)
    with pytest.raises(ModelError, match="has nothing of that kind"):
        Heal(tokens=200, train="experts").apply(one)


def test_mistakes(work: Callable[..., Work]) -> None:
    with pytest.raises(ModelError, match="tokens=0"):
        Heal(tokens=0)
    with pytest.raises(ModelError, match="learning_rate=2"):
        Heal(tokens=1, learning_rate=2)
    one = work()
    Quantise(method="rtn").apply(one)
    with pytest.raises(ModelError, match="heal before the weights are rounded"):
        Heal(tokens=200).apply(one)
