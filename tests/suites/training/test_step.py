"""One step: accumulated, clipped, with a loss of several parts."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.processes import Processes
from sparsebench.suites.training.settings import TrainSettings
from sparsebench.suites.training.step import Stepper, backward_of_nothing


def stepper(model: nn.Module, loss: Any, clip: float | None = None, whole: float | None = None) -> Stepper:
    members = list(model.parameters())
    group = Group(name="model", parameters=members, learning_rate=1.0, optimizer=torch.optim.SGD, clip=clip)
    settings = TrainSettings(steps=1, clip=whole)
    return Stepper(model, {"model": model}, [group], [group.build()], loss, settings, Processes(torch.device("cpu")))


def linear() -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    return layer


def mean(model: nn.Module, batch: Tensor) -> Tensor:
    return model(batch).mean()


def test_accumulated_batches_equal_one_large_batch(forked: dict[str, Any]) -> None:
    """Padded batches with unequal numbers of tokens, some with none at all; the gradient is clipped."""
    one, cut = (torch.tensor(forked[name]["weights"]) for name in ("one process", "accumulated"))
    assert (one - cut).abs().max() < 1e-6
    unweighted = torch.tensor(forked["unweighted"]["weights"])
    assert (one - unweighted).abs().max() > 1e-3, "a mean of means is another training"


def test_a_step_by_hand() -> None:
    model = linear()
    found = stepper(model, mean).step([torch.tensor([[1.0], [3.0]]), torch.tensor([[8.0]])], [2, 1], 3, 0)
    assert found == {"": pytest.approx(4.0)}
    assert model.weight.item() == pytest.approx(1 - 4.0), "the mean of three numbers, not of two means"


def test_the_whole_accumulated_gradient_is_clipped() -> None:
    for fields in ({"clip": 0.5}, {"whole": 0.5}):
        model = linear()
        stepper(model, mean, **fields).step([torch.tensor([[3.0]]), torch.tensor([[-2.0]])], [1, 1], 2, 0)
        assert model.weight.item() == pytest.approx(0.5, rel=1e-5), (
            "a gradient of 0.5 is not clipped, its parts would be"
        )
        stepper(model, mean, **fields).step([torch.tensor([[8.0]])], [1], 1, 0)
        assert model.weight.item() == pytest.approx(0.0, abs=1e-5)


def test_parts_of_a_loss_are_summed() -> None:
    model = linear()
    parts = stepper(model, lambda model, batch: {"a": mean(model, batch), "b": 2 * mean(model, batch)})
    assert parts.step([torch.tensor([[1.0]])], [1], 1, 0) == {"a": 1.0, "b": 2.0, "": 3.0}
    assert model.weight.item() == 1 - 3.0


def test_the_part_that_is_not_finite_is_named() -> None:
    parts = stepper(linear(), lambda model, batch: {"a": mean(model, batch), "b": mean(model, batch) / 0})
    with pytest.raises(FloatingPointError, match=r"inf at step 3, where its part 'b' is inf: lower"):
        parts.step([torch.tensor([[1.0]])], [1], 1, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_moves_nothing(value: float) -> None:
    model = linear()
    with pytest.raises(FloatingPointError, match="step 7"):
        stepper(model, lambda model, batch: mean(model, batch) * value).step([torch.ones(1, 1)], [1], 1, 7)
    assert model.weight.item() == 1.0


def test_a_loss_that_counts_for_nothing_has_a_gradient_of_zeros() -> None:
    """Of a mean over nothing, which is NaN, at whatever depth: the numerator may be what the model gives."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    none = torch.zeros(4, 1)
    for divided in (lambda out: (out * none).sum() / none.sum(), lambda out: (out / none.sum()).sum()):
        model.zero_grad()
        loss = divided(model(torch.ones(4, 2)))
        assert loss.isnan() or loss.isinf()
        backward_of_nothing(loss)
        for parameter in model.parameters():
            assert parameter.grad is not None and torch.equal(parameter.grad, torch.zeros_like(parameter))
    backward_of_nothing(torch.tensor(float("nan")))  # of a constant, there is nothing to go through


def test_a_nan_that_another_loss_brings_stays() -> None:
    """Only zeros count for nothing: what arrives from other processes is not mended."""

    class Sent(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            return grad + 1.0

    model = linear()
    backward_of_nothing(Sent.apply(model(torch.tensor([[2.0]])) * 1.0).sum())
    assert model.weight.grad is not None and model.weight.grad.item() == 2.0
    model.zero_grad()
    backward_of_nothing(Sent.apply(model(torch.tensor([[float("nan")]]))).sum())
    assert model.weight.grad is not None and model.weight.grad.isnan().all()
