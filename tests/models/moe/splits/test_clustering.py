import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.splits.clustering import Clusters, balanced_kmeans, constrained_kmeans


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(count: int, width: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=generator(seed + 100), dtype=torch.float64)


def slow_balanced_kmeans(x: Tensor, start: Tensor) -> tuple[list[int], Tensor]:
    """Every centroid repeated once for each of its places; scipy's assignment; until nothing moves."""
    centroid, label = x[start], None
    while True:
        places = centroid.repeat_interleave(len(x) // len(start), dim=0)
        _, place = linear_sum_assignment(torch.cdist(x, places).square().numpy())
        found = torch.from_numpy(place) // (len(x) // len(start))
        if label is not None and (found == label).all():
            return found.tolist(), centroid
        label = found
        centroid = torch.stack([x[label == k].mean(0) for k in range(len(start))])


@pytest.mark.parametrize("seed", range(10))
def test_equals_a_slow_reference(seed: int) -> None:
    x = points(24, seed=seed)
    start = torch.randperm(24, generator=generator(seed))[:4]
    label, centroid = slow_balanced_kmeans(x, start)
    found = balanced_kmeans(x, 4, generator(), start=start)
    assert found.label.tolist() == label
    torch.testing.assert_close(found.centroid, centroid)


@given(count=st.integers(6, 60), clusters=st.integers(1, 6), seed=st.integers(0, 100))
def test_balanced_sizes(count: int, clusters: int, seed: int) -> None:
    found = balanced_kmeans(points(count, seed=seed), clusters, generator(seed))
    sizes = [len(group) for group in found.groups]
    assert sum(sizes) == count and max(sizes) - min(sizes) <= 1
    assert torch.cat(found.groups).sort().values.tolist() == list(range(count))


@given(seed=st.integers(0, 1000), metric=st.sampled_from(["l2", "cos"]))
def test_order_of_the_points_does_not_matter(seed: int, metric) -> None:
    x, order = points(40, seed=seed), torch.randperm(40, generator=generator(seed))
    found, shuffled = (balanced_kmeans(x, 5, generator(), metric=metric) for x in (x, x[order]))
    assert shuffled.label.tolist() == found.label[order].tolist()
    assert shuffled.centroid.equal(found.centroid)


def test_the_generator_decides() -> None:
    x = points(60)
    same = [balanced_kmeans(x, 6, generator(seed)).label.tolist() for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


@pytest.mark.parametrize("seed", range(5))
def test_cosine_is_euclidean_on_unit_rows(seed: int) -> None:
    x = points(40, seed=seed) * torch.logspace(-1, 1, 40, dtype=torch.float64).unsqueeze(1)
    unit = F.normalize(x, dim=1)
    found: list[Clusters] = [
        balanced_kmeans(x, 4, generator(), metric="cos"),
        balanced_kmeans(unit, 4, generator(), metric="l2"),
        balanced_kmeans(x * 3, 4, generator(), metric="cos"),
    ]
    assert found[0].label.tolist() == found[1].label.tolist() == found[2].label.tolist()
    assert found[0].label.tolist() != balanced_kmeans(x, 4, generator(), metric="l2").label.tolist()


def test_separate_groups_are_found() -> None:
    centre = 20 * torch.eye(5, dtype=torch.float64)[:4]
    truth = torch.arange(40) % 4
    x = centre[truth] + points(40)
    found = balanced_kmeans(x, 4, generator()).label
    assert all(len(set(found[truth == k].tolist())) == 1 for k in range(4))


@given(smallest=st.integers(1, 8), largest=st.integers(8, 40), seed=st.integers(0, 100))
def test_sizes_within_bounds(smallest: int, largest: int, seed: int) -> None:
    x = points(40, seed=seed) ** 3
    found = constrained_kmeans(x, 5, generator(seed), smallest=smallest, largest=largest)
    sizes = found.label.bincount(minlength=5)
    assert (sizes >= smallest).all() and (sizes <= largest).all()
    for k, group in enumerate(found.groups):
        torch.testing.assert_close(found.centroid[k], x[group].mean(0))


def test_points_that_are_all_the_same() -> None:
    assert balanced_kmeans(torch.ones(12, 3), 4, generator()).label.bincount().tolist() == [3, 3, 3, 3]


def test_the_best_of_several_starts_is_kept() -> None:
    """The runs are those that one generator would give one after the other; the first of them is that of one start."""
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def inertia(found: Clusters) -> float:
        return float((x - found.centroid[found.label]).square().sum())

    sums = [inertia(balanced_kmeans(x, 5, torch.Generator().manual_seed(1), starts=n)) for n in range(1, 9)]
    assert sums == sorted(sums, reverse=True) and sums[-1] < sums[0]


def test_bad_input() -> None:
    with pytest.raises(ModelError, match="3 points cannot form 4 clusters"):
        balanced_kmeans(points(3), 4, generator())
    with pytest.raises(ModelError, match="NaN or infinite"):
        balanced_kmeans(points(8).index_fill(0, torch.tensor([2]), float("nan")), 4, generator())
