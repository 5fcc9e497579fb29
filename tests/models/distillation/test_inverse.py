"""The loss of iDAT: its value, and who gets which gradient."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.distillation import InverseDistillation
from sparsebench.models.errors import ModelError

TARGETS = torch.tensor([0, 2, 1, 2])
OFF: Any = {"student_weight": 0.0, "teacher_weight": 0.0}


def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(2, 4, 3, generator=generator)
    return drawn[0].requires_grad_(), drawn[1].requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_the_value_is_that_of_the_release(kind: Any, dtype: torch.dtype) -> None:
    """Both cross-entropies and the distance, all with weight 1; the divergence at T = 5 without T², by log(softmax)."""
    student, teacher = (logits.to(dtype) for logits in pair())
    if kind == "mse":
        distance = F.mse_loss(student, teacher)
    else:
        said = F.softmax(student / 5, dim=-1).log()
        distance = F.kl_div(said, F.softmax(teacher / 5, dim=-1), reduction="batchmean")
    expected = F.cross_entropy(student, TARGETS) + F.cross_entropy(teacher, TARGETS) + distance
    found = InverseDistillation(kind=kind)(student, teacher, TARGETS)
    torch.testing.assert_close(found, expected, rtol=16 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_the_gradient_map(kind: Any) -> None:
    """The distance alone moves the teacher, with `detach_teacher` it does not; its own loss always does."""
    student, teacher = pair()
    InverseDistillation(kind=kind, **OFF)(student, teacher, TARGETS).backward()
    assert student.grad is not None and student.grad.norm() > 0
    assert teacher.grad is not None and teacher.grad.norm() > 0
    student, teacher = pair()
    InverseDistillation(kind=kind, detach_teacher=True, **OFF)(student, teacher, TARGETS).backward()
    assert student.grad is not None and student.grad.norm() > 0
    assert teacher.grad is None or teacher.grad.norm() == 0
    student, teacher = pair()
    InverseDistillation(kind=kind, detach_teacher=True)(student, teacher, TARGETS).backward()
    (own,) = torch.autograd.grad(F.cross_entropy(teacher, TARGETS), teacher)
    torch.testing.assert_close(teacher.grad, own)


def test_mse_moves_both_by_the_same_amount_and_fades_with_the_classes() -> None:
    student, teacher = pair()
    InverseDistillation(**OFF)(student, teacher, TARGETS).backward()
    torch.testing.assert_close(student.grad, 2 * (student - teacher).detach() / (4 * 3))
    assert student.grad is not None and teacher.grad is not None
    torch.testing.assert_close(student.grad, -teacher.grad)


def test_weights_reduction_and_t2() -> None:
    student, teacher = pair()
    plain = InverseDistillation().term(student, teacher)
    torch.testing.assert_close(InverseDistillation(weight=3.0).term(student, teacher), 3 * plain)
    torch.testing.assert_close(InverseDistillation(reduction="batch").term(student, teacher), 3 * plain)
    value = InverseDistillation(kind="kl", temperature=2.0).term(student, teacher)
    scaled = InverseDistillation(kind="kl", temperature=2.0, t2=True)
    torch.testing.assert_close(scaled.term(student, teacher), 4 * value)


def test_parts_take_any_own_loss_and_a_teacher_that_has_none() -> None:
    student, teacher = pair()
    loss = InverseDistillation(student_weight=0.5, teacher_weight=2.0)
    parts = loss.parts(torch.tensor(4.0), torch.tensor(3.0), student, teacher)
    assert list(parts) == ["student", "teacher", "distillation"]
    assert (parts["student"].item(), parts["teacher"].item()) == (2.0, 6.0)
    assert "teacher" not in loss.parts(torch.tensor(4.0), None, student, teacher)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "mae"}, "kind='mae' is not one of mse, kl"),
        ({"weight": -1.0}, "weight=-1.0 must be a number from 0 on"),
        ({"weight": float("nan")}, "weight=nan"),
        ({"temperature": 0.0}, "temperature=0.0 must be above 0"),
        ({"reduction": "sum"}, "reduction='sum'"),
    ],
)
def test_values_that_cannot_be(options: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        InverseDistillation(**options)


def test_other_classes_and_one_column_are_refused() -> None:
    with pytest.raises(ModelError, match="the same classes"):
        InverseDistillation().term(torch.zeros(4, 10), torch.zeros(4, 12))
    with pytest.raises(ModelError, match="take kind='mse'"):
        InverseDistillation(kind="kl").term(torch.zeros(4, 1), torch.zeros(4, 1))


def test_one_backward_pass_and_two_optimizers_are_the_two_passes_of_the_release() -> None:
    """The release sends one loss back twice: the student steps after the first time, and the teacher after the second,
    with a gradient that is twice as large. AdamW divides by its size, so only eps sees the factor."""
    ours, theirs = networks(), networks()
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-12) for model in ours]
    released = [torch.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-12) for model in theirs]
    loss = InverseDistillation(kind="kl")
    generator = torch.Generator().manual_seed(3)
    for _ in range(8):
        x = torch.randn(4, 6, generator=generator, dtype=torch.float64)
        for optimizer in optimizers + released:
            optimizer.zero_grad()
        loss(ours[0](x), ours[1](x), TARGETS).backward()
        for optimizer in optimizers:
            optimizer.step()
        twice = loss(theirs[0](x), theirs[1](x), TARGETS)
        twice.backward(retain_graph=True)
        stepped = {id(p): p.grad.clone() for p in theirs[0].parameters() if p.grad is not None}
        twice.backward()  # as if on the copies that autocast kept, before the student's step
        for parameter in theirs[0].parameters():
            parameter.grad = stepped[id(parameter)]
        for optimizer in released:
            optimizer.step()
    start = networks()
    for model, other, first in zip(ours, theirs, start, strict=True):
        for parameter, same, before in zip(model.parameters(), other.parameters(), first.parameters(), strict=True):
            torch.testing.assert_close(parameter, same, rtol=1e-6, atol=1e-8)
            assert not torch.equal(parameter, before)


def networks() -> list[nn.Linear]:
    """A student and a teacher, the same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return [nn.Linear(6, 3).double(), nn.Linear(6, 3).double()]
