"""Where an atom stands in its molecule: eigenvectors of the Laplacian, and returns of a random walk."""

from typing import Any

import networkx as nx
import numpy as np
import torch
from scipy.linalg import eig

# Shapes: N atoms, P eigenvectors, K steps.

EIGENVECTORS = 8
STEPS = 16


def adjacency_of(edges: np.ndarray, atoms: int) -> np.ndarray:
    """Adjacency, float64 (N, N), of bonds (2, E) in both directions."""
    adjacency = np.zeros((atoms, atoms))
    adjacency[edges[0], edges[1]] = 1
    return adjacency


def laplacian_positions(adjacency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest eigenvalues of D - A, and the eigenvectors of length 1 that belong to them.

    Each component of the graph has its own, which its atoms share; where it has fewer than P, the rest is 0. Computed
    by the general solver, as in graphium: the one for symmetric matrices would give other signs.

    Args:
        adjacency: float64 (N, N), symmetric.

    Returns:
        Eigenvalues (N, P) and eigenvectors (N, P), P = 8, float32.
    """
    laplacian = np.diag(adjacency.sum(axis=1)) - adjacency
    values = np.zeros((len(adjacency), EIGENVECTORS), dtype=np.float32)
    vectors = np.zeros_like(values)
    for component in nx.connected_components(nx.from_numpy_array(adjacency)):
        atoms = list(component)
        own_values, own_vectors = _smallest(laplacian[np.ix_(atoms, atoms)])
        known = own_vectors.shape[1]
        values[atoms, :known] = own_values
        vectors[atoms, :known] = own_vectors
    return values, vectors


def _smallest(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found: Any = eig(matrix)  # complex, where rounding makes a pair of equal eigenvalues conjugate
    values, vectors = found
    order = values.argsort()[:EIGENVECTORS]
    vectors = vectors[:, order]
    vectors = vectors / np.maximum(np.sqrt(np.sum(vectors**2, axis=0, keepdims=True)), 1e-4)
    return values[order].real, vectors.real


def return_probabilities(adjacency: np.ndarray) -> np.ndarray:
    """Probabilities that a random walk is back at its atom after 1 to K steps.

    Args:
        adjacency: float64 (N, N), symmetric.

    Returns:
        float32 (N, K), K = 16; 1 for a molecule of one atom, as in graphium, and 0 for a lone atom beside others.
    """
    if len(adjacency) == 1:
        return np.ones((1, STEPS), dtype=np.float32)
    step = torch.from_numpy(adjacency).float()
    step = step / step.sum(dim=1, keepdim=True).clamp(min=1)
    walked = step
    found = [walked.diagonal()]
    for _ in range(STEPS - 1):
        walked = walked @ step
        found.append(walked.diagonal())
    return torch.stack(found, dim=1).numpy()
