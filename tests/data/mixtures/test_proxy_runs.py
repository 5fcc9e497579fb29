import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.proxy_runs import ProxyRun, as_arrays, proxy_mixtures

PRIOR = {"a": 0.2, "b": 0.3, "c": 0.5}


def test_mixtures_for_small_runs_cover_the_simplex_around_the_smoothed_prior():
    mixtures = np.array([list(weights.values()) for weights in proxy_mixtures(PRIOR, 3000, seed=0)])
    assert mixtures.sum(axis=1) == pytest.approx(np.ones(3000), abs=1e-12)
    smoothed = np.sqrt([0.2, 0.3, 0.5])
    assert mixtures.mean(axis=0) == pytest.approx(smoothed / smoothed.sum(), abs=0.02)
    assert (mixtures.max(axis=0) > 0.95).all()


def test_a_seed_gives_the_same_mixtures():
    assert proxy_mixtures(PRIOR, 5, seed=3) == proxy_mixtures(PRIOR, 5, seed=3)
    assert proxy_mixtures(PRIOR, 5, seed=3) != proxy_mixtures(PRIOR, 5, seed=4)


def test_a_data_set_without_prior_gets_nothing():
    assert all(weights["b"] == 0 for weights in proxy_mixtures({"a": 0.5, "b": 0.0, "c": 0.5}, 20, seed=0))


def test_bad_runs():
    run = ProxyRun(PRIOR, {"x": 1.0, "y": 2.0})
    weights_RN, losses_RJ = as_arrays([run, ProxyRun(PRIOR, {"y": 4.0, "x": 3.0})], tuple("abc"))
    assert weights_RN.tolist() == [[0.2, 0.3, 0.5]] * 2 and losses_RJ.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(MixtureError, match="0 small runs"):
        proxy_mixtures(PRIOR, 0, seed=0)
    with pytest.raises(MixtureError, match="there is no small run"):
        as_arrays([], tuple("abc"))
    with pytest.raises(MixtureError, match=r"small run 1 has losses of \['x'\]"):
        as_arrays([run, ProxyRun(PRIOR, {"x": 1.0})], tuple("abc"))
    for bad in (float("nan"), 0.0):
        with pytest.raises(MixtureError, match="not finite and above 0"):
            as_arrays([ProxyRun(PRIOR, {"x": bad})], tuple("abc"))
