"""The joint loss on the one loop: one backward pass, an optimizer each, and pairs that do not go together."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.distillation import InverseDistillation
from sparsebench.suites.contracts.context import Context, Setup, Target
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.pair.joint import STUDENT, TEACHER, JointLoss, check_pair
from sparsebench.suites.training.settings import TrainSettings
from sparsebench.suites.training.views import BothViews

CLASSES = 3
SETTINGS = TrainSettings(steps=6, batch_size=4)


class Points:
    """Twelve points with a class; the other view has twice the columns."""

    lengths = None

    def __init__(self, columns: int, shift: int = 0) -> None:
        generator = torch.Generator().manual_seed(5)
        points = torch.randn(12, 2, generator=generator).repeat(1, columns // 2)
        self.train = [(point, torch.tensor((row + shift) % CLASSES)) for row, point in enumerate(points)]

    def collate(self, examples: Any) -> tuple[Tensor, Tensor]:
        points, classes = zip(*examples, strict=True)
        return torch.stack(points), torch.stack(classes)


def own_loss(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def network(columns: int, classes: int = CLASSES) -> nn.Module:
    """A frozen layer with running statistics, and a head that trains."""
    with torch.random.fork_rng():
        torch.manual_seed(columns)
        body = nn.Sequential(nn.Linear(columns, 6), nn.BatchNorm1d(6)).requires_grad_(False)
        return nn.Sequential(body, nn.ReLU(), nn.Linear(6, classes))


def fit(loss: InverseDistillation, teacher_trains: bool = True) -> dict[str, nn.Module]:
    models = {STUDENT: network(4), TEACHER: network(2)}
    for model in models.values():
        model[0].eval()  # type: ignore[index]
        model[0].train = lambda mode=True: None  # type: ignore[index, method-assign]
    models[TEACHER].requires_grad_(teacher_trains)
    models[TEACHER][0].requires_grad_(False)  # type: ignore[index]
    trained = models if teacher_trains else {STUDENT: models[STUDENT]}
    groups = [Group.adamw(name, model, learning_rate=0.05, weight_decay=0.0) for name, model in trained.items()]
    joint = JointLoss(loss, own_loss, own_loss, CLASSES, teacher_trains)
    train(models, BothViews(Points(4), Points(2)), joint, groups=groups, settings=SETTINGS)
    return models


def moved(name: str, models: dict[str, nn.Module]) -> set[str]:
    before = network(4 if name == STUDENT else 2).state_dict()
    return {key for key, value in models[name].state_dict().items() if not torch.equal(value, before[key])}


def test_both_move_without_mixed_precision_and_what_is_frozen_stays() -> None:
    """The regression test for the release, whose teacher stays where it started without automatic mixed precision."""
    models = fit(InverseDistillation())
    assert moved(STUDENT, models) == moved(TEACHER, models) == {"2.weight", "2.bias"}
    for model in models.values():
        assert all(parameter.grad is None for parameter in model[0].parameters())  # type: ignore[index]


def test_a_frozen_teacher_has_no_part_and_no_graph() -> None:
    models = fit(InverseDistillation(), teacher_trains=False)
    assert moved(STUDENT, models) == {"2.weight", "2.bias"} and moved(TEACHER, models) == set()
    joint = JointLoss(InverseDistillation(), own_loss, own_loss, CLASSES, teacher_trains=False)
    batch = Points(4).collate(Points(4).train), Points(2).collate(Points(2).train)
    parts = joint({STUDENT: network(4), TEACHER: network(2)}, batch)
    assert list(parts) == ["student", "distillation"]


def test_a_detached_teacher_learns_as_if_it_were_alone() -> None:
    detached = fit(InverseDistillation(detach_teacher=True))[TEACHER]
    unweighted = fit(InverseDistillation(weight=0.0))[TEACHER]
    with_distance = fit(InverseDistillation())[TEACHER]
    assert torch.equal(detached[2].weight, unweighted[2].weight)  # type: ignore[index]
    assert not torch.equal(detached[2].weight, with_distance[2].weight)  # type: ignore[index]


def test_each_model_runs_once() -> None:
    models = {STUDENT: network(4), TEACHER: network(2)}
    calls: list[str] = []
    for name, model in models.items():
        model.register_forward_pre_hook(lambda module, given, name=name: calls.append(name))
    joint = JointLoss(InverseDistillation(), own_loss, own_loss, CLASSES, teacher_trains=True)
    parts = joint(models, (Points(4).collate(Points(4).train), Points(2).collate(Points(2).train)))
    assert calls == [STUDENT, TEACHER]
    logits = [
        model(points.collate(points.train)[0])
        for model, points in zip(models.values(), (Points(4), Points(2)), strict=True)
    ]
    torch.testing.assert_close(parts["distillation"], F.mse_loss(*logits))


class Wide(nn.Module):
    """Says each thing twice, of which the loss takes the first half."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).repeat(2, 1)


def first_half(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0])[: len(batch[1])], batch[1])


def surroundings(outputs: int = CLASSES) -> Context:
    target = Target("classification", outputs)
    return Context(suite="s", task="t", seed=0, loss=own_loss, target=target)


def test_a_pair_that_goes_together_keeps_its_modes() -> None:
    student = network(4).train()
    check_pair(
        "small", student, Points(4), surroundings(), Setup(model=network(2), data=Points(2), context=surroundings())
    )
    assert student.training and not student[0][1].num_batches_tracked  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"context": surroundings(4)}, "the student puts out 3 outputs .* and the teacher small 4 outputs"),
        ({"data": Points(2, shift=1)}, "the teacher small sees the same examples with other targets"),
        ({"model": Wide(), "context": replace(surroundings(), loss=first_half)}, "puts out .* for the same examples"),
    ],
)
def test_pairs_that_do_not(change: Any, words: str) -> None:
    teacher = replace(Setup(model=network(2), data=Points(2), context=surroundings()), **change)
    with pytest.raises(NotApplicable, match=words):
        check_pair("small", network(4), Points(4), surroundings(), teacher)
