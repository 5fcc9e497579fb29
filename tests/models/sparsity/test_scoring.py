"""Criteria by name on a plain model, and the state in which its calibration losses are taken."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity import criteria
from sparsebench.models.sparsity.bottleneck_units import Pair
from sparsebench.models.sparsity.masked import MaskedLinear
from sparsebench.models.sparsity.scoring import (
    CRITERIA,
    FURTHER,
    Evidence,
    calibration_losses,
    criterion,
    gradients,
    register_criterion,
)


def model() -> nn.Sequential:
    made = nn.Sequential(MaskedLinear(4, 3), nn.Dropout(0.5), nn.Tanh(), MaskedLinear(3, 2)).double()
    for number, parameter in enumerate(made.parameters()):
        parameter.data.normal_(generator=torch.Generator().manual_seed(number))
    return made


def loss(net: nn.Module, batch: Tensor) -> Tensor:
    return net(batch).square().sum()


def evidence(net: nn.Sequential, **changes: Any) -> Evidence:
    batches = [torch.randn(5, 4, generator=torch.Generator().manual_seed(s)).double() for s in (7, 8)]
    pair = Pair(name="pair", owner=net, down=net[0], up=net[3], activation=torch.tanh)  # type: ignore[arg-type]
    given = {"model": net, "pairs": [pair], "batches": batches, "loss_fn": loss} | changes
    return Evidence(**given)


def test_gradients_are_those_of_the_summed_loss_without_dropout() -> None:
    net = model()
    layers = [net[0], net[3]]
    facts = evidence(net)
    found = gradients(layers, facts, "snip")
    net.eval()
    total = sum(loss(net, batch) for batch in facts.batches or ())
    expected = torch.autograd.grad(total, [layer.stored for layer in layers])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_modes_and_flags_come_back_also_after_an_error() -> None:
    net = model().train()
    net[1].eval()
    net[0].stored.requires_grad_(False)
    weights = [net[0].stored, net[3].stored]
    modes = [module.training for module in net.modules()]
    with pytest.raises(RuntimeError, match="stop"), calibration_losses(weights, evidence(net), "snip"):
        assert not any(module.training for module in net.modules())
        assert all(weight.requires_grad for weight in weights)
        raise RuntimeError("stop")
    assert [module.training for module in net.modules()] == modes
    assert [weight.requires_grad for weight in weights] == [False, True]


def test_losses_can_be_taken_twice_and_without_an_outer_graph() -> None:
    net = model()
    with torch.no_grad(), calibration_losses([net[0].stored], evidence(net), "grasp") as losses:
        once, again = list(losses()), list(losses())
    assert len(once) == 2 and all(one.requires_grad for one in once)
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


def test_suite_table_of_criteria_score_stored_entries() -> None:
    net = model()
    layers = [net[0], net[3]]
    layers[0].prune(torch.arange(12).view(3, 4) % 3 > 0)
    facts = evidence(net, generator=torch.Generator().manual_seed(0))
    for name, score in CRITERIA.items():
        found = score(layers, facts)
        assert [len(row.flatten()) for row in found] == [8, 6], name
    weights = [layer.stored for layer in layers]
    with calibration_losses(weights, facts, "snip") as losses:
        expected = criteria.snip(weights, losses)
    assert all(torch.equal(a, b) for a, b in zip(CRITERIA["snip"](layers, facts), expected, strict=True))


def test_a_criterion_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FURTHER, "_found", {})
    net = model()
    layers = [net[0], net[3]]
    register_criterion("least", lambda layers, evidence: [-layer.stored.abs() for layer in layers])
    scores = criterion("least")(layers, evidence(net))
    assert torch.equal(scores[1], -net[3].stored.abs()) and not scores[0].requires_grad
    assert criterion("snip") is CRITERIA["snip"]
    for function, message in (
        (lambda layers, evidence: [layers[0].stored], "scores of 1 layers, not 2"),
        (lambda layers, evidence: [layer.stored[:1] for layer in layers], r"scores of the shape \(1, 4\) for \(3, 4\)"),
    ):
        register_criterion("least", function)
        with pytest.raises(ModelError, match=message):
            criterion("least")(layers, evidence(net))
    with pytest.raises(ModelError, match="the criterion 'er' is built in"):
        register_criterion("er", criterion("random"))
    with pytest.raises(ModelError, match="did you mean 'snip'"):
        criterion("snap")
