"""What trained trains again: by place and by itself."""

import copy

import torch
from torch import nn
from torch.nn.utils import prune

from sparsebench.models.adapters.trainable import train_again, trained_in


def trains(model: nn.Module) -> list[str]:
    return [name for name, value in model.named_parameters() if value.requires_grad]


def test_parameters_train_again_wherever_they_and_their_modules_went() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].requires_grad_(False)
    trained = trained_in(model, lambda value: value.requires_grad)
    model.requires_grad_(False)
    copied, of_copy = copy.deepcopy((model, trained))
    del model[0]  # the frozen one has its name now
    model[1].load_state_dict(copy.deepcopy(model[1].state_dict()), assign=True)
    prune.random_unstructured(model[2], "weight", 1)
    train_again(model, trained)
    assert trains(model) == ["1.weight", "1.bias", "2.bias", "2.weight_orig"]
    assert trains(copied) == []
    train_again(copied, of_copy)
    assert trains(copied) == [f"{place}.{name}" for place in (0, 2, 3) for name in ("weight", "bias")]


def test_what_was_packed_stays_without_a_gradient() -> None:
    model = nn.Linear(2, 2)
    trained = trained_in(model, lambda value: value.requires_grad)
    model.weight = nn.Parameter(torch.zeros(2, 2, dtype=torch.int8), requires_grad=False)
    train_again(model, trained)
    assert trains(model) == ["bias"]
