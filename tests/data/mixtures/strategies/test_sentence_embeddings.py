import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.gate_load import GateLoad
from sparsebench.data.mixtures.strategies.sentence_embeddings import SentenceEmbeddings

NAMES = ("a", "b", "c")
ROWS = np.random.default_rng(0).normal(size=(20, 5))
EMBEDDINGS = {"a": ROWS, "b": ROWS + 0.1, "c": ROWS + np.eye(5)[0] * 2}


def test_the_rule_is_that_of_gate_loads():
    """Loads whose shares are the mean embeddings give the same weights."""
    shares = {"a": [0.5, 0.3, 0.2], "b": [0.2, 0.3, 0.5], "c": [0.1, 0.1, 0.8]}
    for distance in ("l2", "cosine", "inverse"):
        ours = SentenceEmbeddings(NAMES, {name: np.array(row) for name, row in shares.items()}, distance=distance)
        loads = {name: np.array([row]) for name, row in shares.items()}
        assert ours.weights == pytest.approx(GateLoad(NAMES, distance=distance).update(Signal(loads=loads)), abs=1e-12)


def test_the_data_set_that_differs_rises_and_the_weights_stay():
    strategy = SentenceEmbeddings(NAMES, EMBEDDINGS, eta=1.0)
    before = dict(strategy.weights)
    assert before["c"] > before["b"] > 0
    assert strategy.update(Signal(steps=100)) == before


def test_the_log_starts_with_what_the_weights_come_from():
    start = SentenceEmbeddings(NAMES, EMBEDDINGS).rounds[0]
    assert start["distances"][0][2] == pytest.approx(2.0, abs=1e-12)
    assert start["deltas"]["a"] == pytest.approx((2 + np.sqrt(5) * 0.1) / 3, abs=1e-12)


def test_they_are_a_start_for_gate_loads():
    start = SentenceEmbeddings(NAMES, EMBEDDINGS).weights
    assert GateLoad(NAMES, start=start).weights == pytest.approx(start, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": ROWS[:, :3]}, "other numbers of features"),
        ({"b": ROWS[:0]}, r"'b' have the shape \(0, 5\)"),
        ({"b": np.full((2, 5), np.nan)}, "'b' are not all finite"),
        ({"d": ROWS}, "embeddings: no data set 'd'"),
    ],
)
def test_bad_embeddings(change, message):
    with pytest.raises(MixtureError, match=message):
        SentenceEmbeddings(NAMES, {**EMBEDDINGS, **change})


def test_too_few_data_sets():
    with pytest.raises(MixtureError, match="at least three data sets, not 2"):
        SentenceEmbeddings(NAMES[:2], EMBEDDINGS)
