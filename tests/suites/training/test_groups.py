"""Groups of parameters, each with its own optimizer."""

import pytest
import torch
from torch import nn

from sparsebench.suites.training.groups import Group, check_groups, set_rates


def pair() -> dict[str, nn.Module]:
    return {"student": nn.Linear(2, 2), "teacher": nn.Linear(2, 2)}


def test_each_group_has_its_optimizer_and_its_rate() -> None:
    models = pair()
    student = Group.adamw("student", models["student"], learning_rate=0.1, weight_decay=0.5, betas=(0.8, 0.9))
    layers = [{"params": [models["teacher"].weight], "lr": 0.2}, {"params": [models["teacher"].bias]}]
    teacher = Group(name="teacher", parameters=layers, learning_rate=0.4, optimizer=torch.optim.SGD)
    built = [student.build(), teacher.build()]
    assert isinstance(built[0], torch.optim.AdamW) and isinstance(built[1], torch.optim.SGD)
    assert built[0].param_groups[0]["betas"] == (0.8, 0.9)
    assert [part["weight_decay"] for part in built[0].param_groups] == [0.5, 0.0]
    set_rates(built, 0.5)
    assert [part["lr"] for optimizer in built for part in optimizer.param_groups] == [0.05, 0.05, 0.1, 0.2]
    set_rates(built, 1.0)
    assert [part["lr"] for optimizer in built for part in optimizer.param_groups] == [0.1, 0.1, 0.2, 0.4]


def test_what_trains_is_counted() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert Group(name="all", parameters=list(layer.parameters()), learning_rate=1.0).count() == 6


def test_groups_that_cannot_be() -> None:
    models = pair()
    student = Group.adamw("student", models["student"], learning_rate=0.1, weight_decay=0.0)
    with pytest.raises(ValueError, match="at least one group"):
        check_groups(models, [])
    with pytest.raises(ValueError, match="'student' and 'again' share"):
        again = Group(name="again", parameters=[models["student"].weight], learning_rate=0.1)
        check_groups(models, [student, again])
    with pytest.raises(ValueError, match="two groups are named 'student'"):
        check_groups(models, [student, student])
    with pytest.raises(ValueError, match="none of the models"):
        check_groups(models, [Group.adamw("other", nn.Linear(1, 1), learning_rate=0.1, weight_decay=0.0)])
    with pytest.raises(ValueError, match="nothing to train"):
        frozen = models["teacher"].requires_grad_(False)
        check_groups(models, [Group(name="t", parameters=list(frozen.parameters()), learning_rate=0.1)])
