"""Eigenvectors of the Laplacian and returns of a random walk."""

import numpy as np

from sparsebench.models.molecules.minimol.positions import adjacency_of, laplacian_positions, return_probabilities

PATH = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
"""Three atoms in a row."""
TWO = np.array([[0, 1, 2, 3, 3, 4], [1, 0, 3, 2, 4, 3]])
"""A pair, and three in a row."""


def test_eigenvectors_are_those_of_the_laplacian() -> None:
    adjacency = adjacency_of(PATH, 3)
    values, vectors = laplacian_positions(adjacency)
    laplacian = np.diag(adjacency.sum(1)) - adjacency
    assert values.shape == vectors.shape == (3, 8)
    assert np.allclose(values[:, :3], [0, 1, 3], atol=1e-6) and not values[:, 3:].any() and not vectors[:, 3:].any()
    assert np.allclose(laplacian @ vectors[:, :3], vectors[:, :3] * values[0, :3], atol=1e-6)
    assert np.allclose((vectors[:, :3] ** 2).sum(0), 1, atol=1e-6)


def test_each_component_has_its_own() -> None:
    values, vectors = laplacian_positions(adjacency_of(TWO, 5))
    assert np.allclose(values[:2, :3], [[0, 2, 0]] * 2, atol=1e-6)
    assert np.allclose(values[2:, :3], [[0, 1, 3]] * 3, atol=1e-6)
    assert np.allclose(np.abs(vectors[:2, :2]), 0.5**0.5) and not vectors[:2, 2:].any()


def test_returns_of_a_walk() -> None:
    expected = np.tile([[0, 0.5], [0, 1], [0, 0.5]], 8)
    assert np.allclose(return_probabilities(adjacency_of(PATH, 3)), expected, atol=1e-6)
    lone = return_probabilities(adjacency_of(PATH, 4))
    assert np.allclose(lone[:3], expected, atol=1e-6) and not lone[3].any()
    assert return_probabilities(np.zeros((1, 1))).tolist() == [[1.0] * 16]
