"""SparseGPT against the removal of weights one by one with a fresh inverse each time, and against least squares."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.compression.linear.moments import inverse_factor
from sparsebench.models.compression.slimming.patterns import Pattern
from sparsebench.models.compression.slimming.sparsegpt import sparsegpt
from sparsebench.models.errors import ModelError


def inputs(seed: int, tokens: int = 400, columns: int = 24) -> Tensor:
    """Correlated ones of unequal size: eight factors and noise."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(tokens, 8, generator=generator, dtype=torch.float64)
    loadings = torch.randn(8, columns, generator=generator, dtype=torch.float64) / 8**0.5
    noise = torch.randn(tokens, columns, generator=generator, dtype=torch.float64)
    size = torch.rand(columns, generator=generator, dtype=torch.float64) + 0.5
    return (factors @ loadings + 0.7 * noise) * size


def weights(seed: int, columns: int = 24) -> Tensor:
    return torch.randn(10, columns, generator=torch.Generator().manual_seed(100 + seed), dtype=torch.float64)


def error(weight: Tensor, other: Tensor, x: Tensor) -> float:
    return float(((weight - other) @ x.T).square().sum())


def one_by_one(weight: Tensor, moments: Tensor, keep: Tensor, damping: float) -> Tensor:
    """The oracle: each removed weight is taken out by the formula of the optimal brain surgeon, from left to right,
    with the inverse of the moments of the columns from there on, inverted anew."""
    damped = moments + damping * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype)
    new = weight.clone()
    for row in range(len(new)):
        for column in range(new.shape[1]):
            if not keep[row, column]:
                inverse = torch.linalg.inv(damped[column:, column:])
                new[row, column:] -= new[row, column] / inverse[0, 0] * inverse[0]
                new[row, column] = 0
    return new


@pytest.mark.parametrize("name", ["unstructured", "row", "2:4", "4:8"])
@pytest.mark.parametrize("block_size", [8, 16, 128])
def test_equals_the_removal_one_by_one(name: str, block_size: int) -> None:
    x, weight = inputs(0), weights(0)
    found = sparsegpt(weight, x.T @ x, Pattern(name, 0.5), block_size=block_size)
    wanted = one_by_one(weight, x.T @ x, found != 0, 0.01)
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


def test_the_first_block_goes_by_the_saliency_of_the_paper() -> None:
    x, weight = inputs(1), weights(1)
    moments = x.T @ x
    damped = moments + 0.01 * moments.diagonal().mean() * torch.eye(24, dtype=torch.float64)
    saliency = torch.stack([weight[:, j] ** 2 / torch.linalg.inv(damped[j:, j:])[0, 0] for j in range(24)], dim=1)
    found = sparsegpt(weight, moments, Pattern("unstructured", 0.5), block_size=128)
    assert torch.equal(found != 0, Pattern("unstructured", 0.5).keep(saliency))


@pytest.mark.parametrize(("name", "sparsity"), [("unstructured", 0.3), ("row", 0.3), ("row", 0.77), ("2:4", 0.5)])
@pytest.mark.parametrize("columns", [24, 21])
def test_counts_are_exact_over_blocks(name: str, sparsity: float, columns: int) -> None:
    x, weight = inputs(2, columns=columns), weights(2, columns)
    pattern = Pattern(name, sparsity)
    found = sparsegpt(weight, x.T @ x, pattern, block_size=8)
    assert int((found == 0).sum()) == pattern.zeros(10, columns)
    if name == "row":
        assert (found == 0).sum(1).tolist() == [int(sparsity * columns)] * 10
    if name == "2:4":
        assert ((found[:, :20] == 0).view(10, 5, 4).sum(-1) == 2).all()


@pytest.mark.parametrize("name", ["unstructured", "row", "2:4"])
def test_a_refit_by_least_squares_of_the_same_mask_is_at_least_as_good(name: str) -> None:
    """B8, a theorem; and on correlated inputs, over seeds, the order that is none."""
    totals = {"refit": 0.0, "sparsegpt": 0.0, "no update": 0.0, "magnitude": 0.0, "wanda": 0.0}
    for seed in range(6):
        x, weight = inputs(seed, columns=48), weights(seed, 48)
        pattern = Pattern(name, 0.5)
        found = sparsegpt(weight, x.T @ x, pattern, block_size=16)
        refit = torch.zeros_like(weight)
        for row in range(len(weight)):
            kept = found[row] != 0
            refit[row, kept] = torch.linalg.lstsq(x[:, kept], x @ weight[row, :, None]).solution[:, 0]
        norm = x.square().sum(0).sqrt()
        others = {
            "refit": refit,
            "sparsegpt": found,
            "no update": weight * (found != 0),
            "magnitude": weight * pattern.keep(weight.abs()),
            "wanda": weight * pattern.keep(weight.abs() * norm),
        }
        errors = {label: error(weight, other, x) for label, other in others.items()}
        assert errors["refit"] <= errors["sparsegpt"] * (1 + 1e-9)
        assert errors["refit"] <= errors["no update"] * (1 + 1e-9)
        for label, value in errors.items():
            totals[label] += value
    assert totals["sparsegpt"] < min(totals["no update"], totals["magnitude"], totals["wanda"])


def test_uncorrelated_inputs_leave_what_stays_as_it_is() -> None:
    weight = weights(3)
    found = sparsegpt(weight, torch.eye(24, dtype=torch.float64), Pattern("row", 0.5))
    kept = Pattern("row", 0.5).keep(weight.abs())
    torch.testing.assert_close(found, weight * kept, rtol=0, atol=1e-12)


def test_inputs_that_are_always_0_lose_their_weights_first() -> None:
    x, weight = inputs(4), weights(4)
    x[:, 3:9] = 0
    found = sparsegpt(weight, x.T @ x, Pattern("row", 0.25))
    assert (found[:, 3:9] == 0).all() and int((found == 0).sum()) == 60


def test_the_factor_is_that_of_the_inverse() -> None:
    moments = inputs(5).T @ inputs(5)
    upper = inverse_factor(moments, 0.1)
    damped = moments + 0.1 * moments.diagonal().mean() * torch.eye(24, dtype=torch.float64)
    torch.testing.assert_close(upper.T @ upper @ damped, torch.eye(24, dtype=torch.float64))
    assert torch.equal(upper, upper.triu())


def test_fewer_tokens_than_columns_are_enough_with_damping() -> None:
    x, weight = inputs(6, tokens=5), weights(6)
    found = sparsegpt(weight.float(), (x.T @ x).float(), Pattern("row", 0.5))
    assert found.dtype == torch.float32 and found.isfinite().all()
    with pytest.raises(ModelError, match=r"damping=0: raise it"):
        sparsegpt(weight, torch.zeros(24, 24), Pattern("row", 0.5), damping=0)


def test_blocks_may_not_cut_groups_apart() -> None:
    with pytest.raises(ModelError, match="block_size=6 has to be a multiple of the group of 2:4"):
        sparsegpt(weights(0), torch.eye(24), Pattern("2:4", 0.5), block_size=6)


def test_the_weights_given_stay_as_they_are() -> None:
    x, weight = inputs(7), weights(7)
    before = weight.clone()
    sparsegpt(weight, x.T @ x, Pattern("row", 0.5))
    assert torch.equal(weight, before)
