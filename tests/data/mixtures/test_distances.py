import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.distances import deltas, distance_matrix, reverse_ranks

NAMES = ("a", "b", "c")
VECTORS = {"a": [[0.6, 0.8], [1.0, 0.0]], "b": [[0.8, 0.6], [1.0, 0.0]], "c": [[0.0, 1.0], [0.0, 1.0]]}


def test_l2_by_hand_and_as_a_mean_over_layers():
    ab = (np.sqrt(0.2**2 + 0.2**2) + 0) / 2
    matrix_NN = distance_matrix({name: np.array(rows) for name, rows in VECTORS.items()}, NAMES)
    assert matrix_NN[0, 1] == pytest.approx(ab, abs=1e-15)
    assert np.array_equal(matrix_NN, matrix_NN.T)
    assert np.array_equal(np.diag(matrix_NN), np.zeros(3))


def test_cosine_by_hand():
    matrix_NN = distance_matrix({name: np.array(rows) for name, rows in VECTORS.items()}, NAMES, "cosine")
    assert matrix_NN[0, 1] == pytest.approx(1 - (0.96 + 1) / 2, abs=1e-15)
    assert matrix_NN[0, 2] == pytest.approx(1 - (0.8 + 0) / 2, abs=1e-15)
    assert np.array_equal(np.diag(matrix_NN), np.zeros(3))


def test_a_vector_of_zeros_has_no_cosine():
    vectors = {"a": np.array([[1.0, 2.0]]), "b": np.array([[0.0, 0.0]])}
    with pytest.raises(MixtureError, match="has no cosine"):
        distance_matrix(vectors, ("a", "b"), "cosine")


def test_criteria():
    matrix_NN = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    assert deltas(matrix_NN).tolist() == [4 / 3, 1.0, 5 / 3]
    assert deltas(matrix_NN, criterion="max").tolist() == [3.0, 2.0, 3.0]
    assert deltas(matrix_NN, criterion="min").tolist() == [1.0, 1.0, 2.0]
    with pytest.raises(MixtureError, match="no criterion 'median'"):
        deltas(matrix_NN, criterion="median")  # pyright: ignore[reportArgumentType]


def test_what_the_released_criteria_do_otherwise():
    matrix_NN = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    assert deltas(matrix_NN, criterion="min", faithful=True).tolist() == [0.0, 0.0, 0.0]
    assert deltas(matrix_NN, "cosine", "min", faithful=True).tolist() == [3.0, 2.0, 3.0]
    assert deltas(matrix_NN, "cosine", "max", faithful=True).tolist() == [0.0, 0.0, 0.0]


def test_ranks_are_reversed_and_ties_shared():
    assert reverse_ranks(np.array([1.0, 5.0, 2.0])).tolist() == [5.0, 1.0, 2.0]
    assert reverse_ranks(np.array([4.0, 4.0, 2.0, 1.0])).tolist() == [1.5, 1.5, 4.0, 4.0]
    assert sorted(reverse_ranks(np.array([4.0, 4.0, 2.0, 1.0]), share_ties=False).tolist()) == [1.0, 2.0, 4.0, 4.0]


def test_two_equal_data_sets_and_one_that_differs():
    vectors = {"a": np.array([[0.5, 0.5]]), "b": np.array([[0.5, 0.5]]), "c": np.array([[1.0, 0.0]])}
    for distance in ("l2", "cosine"):
        delta_N = deltas(distance_matrix(vectors, NAMES, distance), distance)
        assert delta_N[0] == delta_N[1] < delta_N[2]
    delta_N = deltas(distance_matrix(vectors, NAMES, "inverse"), "inverse")
    assert delta_N[0] == delta_N[1] > delta_N[2]
