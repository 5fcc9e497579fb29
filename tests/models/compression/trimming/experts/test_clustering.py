"""Groups of experts, against scipy and by hand."""

import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage

from sparsebench.models.compression.trimming.experts.clustering import around_the_busiest, average_linkage, cosine


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("clusters", [1, 2, 5, 11, 12])
def test_average_linkage_is_that_of_scipy(seed: int, clusters: int) -> None:
    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = fcluster(linkage(points.numpy(), method="average"), t=clusters, criterion="maxclust")
    expected = {tuple(int(place) for place in range(12) if labels[place] == label) for label in set(labels)}
    found = average_linkage(points, clusters)
    assert {tuple(group) for group in found} == expected and len(found) == clusters


def test_others_join_the_busy_one_that_is_most_similar() -> None:
    similarity = torch.tensor([[1, 0.1, 0.9, 0], [0.1, 1, 0.2, 0.7], [0.9, 0.2, 1, 0.5], [0, 0.7, 0.5, 1]])
    counts = torch.tensor([9, 8, 3, 1])
    assert around_the_busiest(similarity, counts, 2) == [[0, 2], [1, 3]]
    assert around_the_busiest(similarity, counts, 1) == [[0, 1, 2, 3]]
    assert around_the_busiest(similarity, counts.flip(0), 2) == [[2, 0], [3, 1]]
    assert around_the_busiest(similarity, counts, 4) == [[0], [1], [2], [3]]


def test_cosine_of_vectors_from_their_products() -> None:
    vectors = torch.tensor([[1.0, 0, 1], [2, 0, 2], [0, 3, 0], [0, 0, 0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(cosine(vectors @ vectors.T), expected)
