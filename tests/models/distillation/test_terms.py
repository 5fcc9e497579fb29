"""Distances of logits against their formulas in float64."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.distillation.terms import aligned, divergence, squared_distance
from sparsebench.models.errors import ModelError


def logits(seed: int, scale: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(7, 5, generator=generator, dtype=torch.float64)


def kl_by_hand(target: Tensor, other: Tensor, temperature: float) -> float:
    """Sum over classes of p (log p - log q), mean over rows, number by number."""
    rows = []
    for of_target, of_other in zip(target / temperature, other / temperature, strict=True):
        p = of_target.exp() / of_target.exp().sum()
        q = of_other.exp() / of_other.exp().sum()
        rows.append(sum(float(a) * (float(a.log()) - float(b.log())) for a, b in zip(p, q, strict=True)))
    return sum(rows) / len(rows)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 5.0])
def test_divergence_is_that_of_the_formula(temperature: float) -> None:
    target, other = logits(0), logits(1)
    expected = kl_by_hand(target, other, temperature)
    assert divergence(target, other, temperature).item() == pytest.approx(expected, rel=1e-12)
    assert divergence(target, other, temperature, t2=True).item() == pytest.approx(expected * temperature**2, rel=1e-12)
    assert divergence(target, other, temperature, over_classes=True).item() == pytest.approx(expected / 5, rel=1e-12)
    assert abs(divergence(other, target, temperature).item() - expected) > 1e-6


def test_squared_distance_is_a_mean_over_examples_and_classes() -> None:
    first, second = logits(0), logits(1)
    by_hand = sum(float((a - b) ** 2) for a, b in zip(first.flatten(), second.flatten(), strict=True))
    assert squared_distance(first, second).item() == pytest.approx(by_hand / 35, rel=1e-12)
    assert squared_distance(first, second, over_classes=False).item() == pytest.approx(by_hand / 7, rel=1e-12)


def test_equal_logits_have_no_distance() -> None:
    one = logits(3)
    assert squared_distance(one, one.clone()).item() == 0
    assert divergence(one, one.clone(), 5.0).item() == pytest.approx(0, abs=1e-15)


def test_far_logits_have_a_finite_divergence_and_gradient() -> None:
    """Where log(softmax(z)), as the release has it, is -inf and its gradient NaN."""
    near = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    far = torch.tensor([[-1e4, 1e4, 0.0]], requires_grad=True)
    value = divergence(near, far, 5.0)
    value.backward()
    assert value.item() == pytest.approx(4000, rel=1e-6)
    assert near.grad is not None and near.grad.isfinite().all()
    assert far.grad is not None and far.grad.tolist() == [[pytest.approx(-0.2), pytest.approx(0.2), 0]]
    assert not (far.detach() / 5).softmax(-1).log().isfinite().all()


def test_the_gradient_of_a_temperature_fades_with_its_square_and_t2_mends_that() -> None:
    def norm(temperature: float, t2: bool) -> float:
        other = logits(1, 1e-2).requires_grad_()
        divergence(logits(0, 1e-2), other, temperature, t2=t2).backward()
        assert other.grad is not None
        return other.grad.norm().item()

    assert norm(5.0, False) / norm(1.0, False) == pytest.approx(1 / 25, rel=0.02)
    assert norm(5.0, True) / norm(1.0, True) == pytest.approx(1, rel=0.02)


def test_logits_are_aligned_in_float32() -> None:
    first, second = aligned(torch.ones(2, 3, 4, dtype=torch.bfloat16), torch.ones(2, 3, 4))
    assert first.shape == second.shape == (6, 4)
    assert first.dtype == torch.float32


@pytest.mark.parametrize(
    ("student", "teacher", "words"),
    [((4, 10), (4, 7), r"puts out \(4, 10\) and the teacher \(4, 7\)"), ((4,), (4,), "no examples and classes")],
)
def test_other_shapes_are_refused(student: tuple[int, ...], teacher: tuple[int, ...], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        aligned(torch.zeros(student), torch.zeros(teacher))
