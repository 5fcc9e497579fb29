"""Masks of exact counts, against sorting by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.compression.slimming.patterns import Pattern, fraction_of, keep_greatest, removed_by
from sparsebench.models.errors import ModelError


def scores(outputs: int = 6, inputs: int = 10, seed: int = 0) -> Tensor:
    return torch.rand(outputs, inputs, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sparsity", [0, 0.1, 0.3, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_no_weight_that_stays_scores_less_than_one_that_goes(sparsity: float, seed: int) -> None:
    score = scores(seed=seed)
    kept = Pattern("unstructured", sparsity).keep(score)
    assert int((~kept).sum()) == Pattern("unstructured", sparsity).zeros(6, 10) == int(sparsity * 60 + 1e-9)
    if sparsity > 0:
        assert score[kept].min() >= score[~kept].max()
    rows = Pattern("row", sparsity).keep(score)
    assert (~rows).sum(1).tolist() == [int(sparsity * 10 + 1e-9)] * 6
    for row, stays in zip(score, rows, strict=True):
        assert not (~stays).any() or row[stays].min() >= row[~stays].max()


@pytest.mark.parametrize(("name", "stay", "size"), [("2:4", 2, 4), ("4:8", 4, 8), ("1:4", 1, 4), ("3:3", 3, 3)])
def test_n_of_each_m_neighbours_stay(name: str, stay: int, size: int) -> None:
    score = scores(5, 24)
    kept = Pattern(name, 1 - stay / size).keep(score)
    for row, stays in zip(score, kept, strict=True):
        for start in range(0, 24, size):
            group = row[start : start + size]
            best = set(group.topk(stay).indices.tolist())
            assert set(stays[start : start + size].nonzero().flatten().tolist()) == best
    assert int((~kept).sum()) == Pattern(name, 1 - stay / size).zeros(5, 24)


@pytest.mark.parametrize(("inputs", "zeros"), [(4, 2), (5, 2), (6, 2), (7, 3), (8, 4)])
def test_a_last_group_that_is_not_whole_counts_as_filled_up_with_zeros(inputs: int, zeros: int) -> None:
    kept = Pattern("2:4", 0.5).keep(scores(3, inputs))
    assert (~kept).sum(1).tolist() == [zeros] * 3
    assert Pattern("2:4", 0.5).zeros(3, inputs) == 3 * zeros


def test_of_equal_scores_the_first_go() -> None:
    equal = torch.tensor([[1.0, 0, 1, 1, 2]])
    assert keep_greatest(equal, 3).tolist() == [[False, False, False, True, True]]
    assert keep_greatest(equal, 0).all()


def test_a_share_is_rounded_down_but_not_by_rounding() -> None:
    assert [fraction_of(0.1, 30), fraction_of(0.3, 10), fraction_of(0.7, 10), fraction_of(0.35, 10)] == [3, 3, 7, 3]
    assert fraction_of(0.999, 10**9) == 999 * 10**6


@pytest.mark.parametrize(
    ("name", "sparsity", "message"),
    [
        ("unstructured", 1.0, "sparsity=1.0 is the fraction"),
        ("row", -0.1, "0 <= sparsity < 1"),
        ("2:4", 0.6, "pattern 2:4 removes 0.5 of the weights, not sparsity=0.6"),
        ("4:2", 0.5, "1 <= n <= m"),
        ("0:4", 0.5, "1 <= n <= m"),
        ("column", 0.5, "is not one of unstructured, row, n:m"),
        ("row", float("nan"), "0 <= sparsity < 1"),
        (124, 0.5, "pattern=124 is no text: write it in quotes, as in '2:4'"),
    ],
)
def test_patterns_that_cannot_be_are_refused(name: Any, sparsity: float, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Pattern(name, sparsity)


def test_what_a_pattern_of_a_name_alone_removes() -> None:
    assert [removed_by(name) for name in ("unstructured", "row", "2:4", "1:4", "column")] == [0.5, 0.5, 0.5, 0.75, 0.5]


def test_nan_scores_are_refused() -> None:
    with pytest.raises(ModelError, match="NaN"):
        Pattern("row", 0.5).keep(torch.tensor([[1.0, float("nan")]]))
