"""The rounds of the released code, written once more in plain formulas on a model of 48 weights."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.partitioning.candidates import ModeCandidates, OpenMask
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import dynamic_layers
from sparsebench.models.dynamic.partitioning.released import released_rounds
from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.selection import Group

from .toy import batches, loss, toy

DATA: dict[str, Any] = {"batches": batches(), "loss_fn": loss}


def masks_of(model: nn.Module) -> list[Tensor]:
    return [layer.partition.mask for layer in dynamic_layers(model).values()]  # type: ignore[union-attr]


def scores(model: nn.Sequential, masks: list[Tensor]) -> list[Tensor]:
    """|dL/dM|, summed over the batches, of W(x) = M D(x) + (1 - M) S, S the mean of the kernels, without dropout."""
    layers: Any = (model[0], model[3])
    free = [mask.double().requires_grad_() for mask in masks]

    def applied(layer: Any, mask: Tensor, x: Tensor) -> Tensor:
        dynamic = torch.einsum("bk,koi->boi", torch.softmax(layer.route(x), -1), layer.bank.detach())
        weight = mask * dynamic + (1 - mask) * layer.bank.detach().mean(0)
        return torch.einsum("boi,bi->bo", weight, x)

    total = torch.zeros((), dtype=torch.float64)
    for batch in batches():
        out = applied(layers[1], free[1], torch.tanh(applied(layers[0], free[0], batch)))
        total = total + (out - 1).square().mean()
    return [gradient.abs() for gradient in torch.autograd.grad(total, free)]


def reference(ratio: float, rounds: int, schedule: str, scope: str) -> list[Tensor]:
    """Every round scores all entries under the masks of the round before, and masks what is at most the threshold."""
    model = toy()
    masks = [torch.ones(6, 5, dtype=torch.bool), torch.ones(3, 6, dtype=torch.bool)]
    for step in range(1, rounds + 1):
        left = ratio ** (step / rounds) if schedule == "exponential" else 1.0 - (1.0 - ratio) * (step / rounds)
        found = scores(model, masks)
        together = torch.cat([score.flatten() for score in found])
        for number, score in enumerate(found):
            row = together if scope == "global" else score.flatten()
            masks[number] = score > row.kthvalue(int((1.0 - left) * len(row))).values
    return masks


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("schedule", ["exponential", "linear"])
def test_rounds_are_those_of_the_released_code(schedule: Any, scope: Any) -> None:
    model = toy()
    partition(model, 0.3, rounds=3, schedule=schedule, scope=scope, faithful=True, **DATA)
    wanted = reference(0.3, 3, schedule, scope)
    assert [mask.tolist() for mask in masks_of(model)] == [mask.tolist() for mask in wanted]


def test_what_turned_static_comes_back_there_and_not_here() -> None:
    """Of one round both give the same, and the count is rounded down of what goes: 14 of 48 stay, or 15."""
    one: dict[bool, Tensor] = {}
    three: dict[bool, Tensor] = {}
    for faithful in (False, True):
        for found, rounds in ((one, 1), (three, 3)):
            model = toy()
            partition(model, 0.3, rounds=rounds, faithful=faithful, **DATA)
            found[faithful] = torch.cat([mask.flatten() for mask in masks_of(model)])
    assert int((one[True] & ~one[False]).sum()) == 1 and not bool((one[False] & ~one[True]).any())
    assert not torch.equal(three[True], three[False])
    model = toy()
    partition(model, 0.3 ** (1 / 3), faithful=True, **DATA)
    first = torch.cat([mask.flatten() for mask in masks_of(model)])
    assert bool((three[True] & ~first).any()), "static after the first round, dynamic after the third"


def test_all_that_tie_at_the_threshold_turn_static() -> None:
    candidates = ModeCandidates([torch.Size([2, 3])], "weight", torch.abs)
    mask = OpenMask(torch.ones(2, 3))
    rounds = iter([[0.0, 0.0, 0.0, 0.0, 1.0, 2.0], [5.0, 0.0, 0.0, 3.0, 1.0, 2.0]])
    groups = [Group(parts=[0], left=6, keep=3)]

    def effects() -> list[Tensor]:
        return [torch.tensor(next(rounds)).view(2, 3)]

    keep, ties = released_rounds(candidates, groups, [mask], effects, 0.5, 1, "linear")
    assert keep[0].tolist() == [False] * 4 + [True] * 2 and ties == 4
    keep, ties = released_rounds(candidates, groups, [mask], effects, 0.5, 1, "linear")
    assert keep[0].tolist() == [True, False, False, True, False, True] and ties == 0
    assert mask.stored.tolist() == [[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]], "the next round is scored under these"


WRONG: dict[Literal["criterion", "granularity"], str] = {"criterion": "remove", "granularity": "row"}


@pytest.mark.parametrize("option", WRONG)
def test_what_the_released_code_has_not(option: Any) -> None:
    with pytest.raises(ModelError, match=f"{option}='{WRONG[option]}' is not one of"):
        partition(toy(), 0.3, faithful=True, **{option: WRONG[option]}, **DATA)
