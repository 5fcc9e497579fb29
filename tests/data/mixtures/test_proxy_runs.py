import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.proxy_runs import best_mixture, proxy_mixtures

PRIOR = {"a": 0.2, "b": 0.3, "c": 0.5}
SLOPES = {"a": 0.4, "b": -0.9, "c": 0.1}


def loss(weights):
    return 2.0 + sum(SLOPES[name] * weight for name, weight in weights.items())


def test_mixtures_for_small_runs_cover_the_simplex_around_the_smoothed_prior():
    mixtures = np.array([list(weights.values()) for weights in proxy_mixtures(PRIOR, 3000, seed=0)])
    assert mixtures.sum(axis=1) == pytest.approx(np.ones(3000), abs=1e-12)
    smoothed = np.sqrt([0.2, 0.3, 0.5])
    assert mixtures.mean(axis=0) == pytest.approx(smoothed / smoothed.sum(), abs=0.02)
    assert (mixtures.max(axis=0) > 0.95).all()


def test_a_seed_gives_the_same_mixtures():
    assert proxy_mixtures(PRIOR, 5, seed=3) == proxy_mixtures(PRIOR, 5, seed=3)
    assert proxy_mixtures(PRIOR, 5, seed=3) != proxy_mixtures(PRIOR, 5, seed=4)


@pytest.mark.parametrize(("regressor", "count"), [("linear", 8), ("boosted", 300)])
def test_the_best_mixture_is_where_the_loss_is_lowest(regressor, count, monkeypatch):
    monkeypatch.setattr("sparsebench.data.mixtures.proxy_runs.SIMULATED", 10_000)
    runs = [(weights, loss(weights)) for weights in proxy_mixtures(PRIOR, count, seed=0)]
    best = best_mixture(runs, PRIOR, regressor)
    assert best["b"] > 0.85
    assert loss(best) < min(loss(PRIOR), 1.3)


def test_the_same_runs_give_the_same_mixture():
    runs = [(weights, loss(weights)) for weights in proxy_mixtures(PRIOR, 8, seed=0)]
    assert best_mixture(runs, PRIOR) == best_mixture(runs, PRIOR)
    assert best_mixture(runs, PRIOR) != best_mixture(runs, PRIOR, seed=1)


def test_a_data_set_without_prior_gets_nothing():
    prior = {"a": 0.5, "b": 0.0, "c": 0.5}
    runs = [(weights, loss(weights)) for weights in proxy_mixtures(PRIOR, 12, seed=0)]
    assert best_mixture(runs, prior)["b"] == 0
    assert all(weights["b"] == 0 for weights in proxy_mixtures(prior, 20, seed=0))


def test_bad_runs():
    runs = [(weights, loss(weights)) for weights in proxy_mixtures(PRIOR, 12, seed=0)]
    with pytest.raises(MixtureError, match="3 small runs cannot tell 3 data sets apart"):
        best_mixture(runs[:3], PRIOR)
    with pytest.raises(MixtureError, match="the loss of a small run is not finite"):
        best_mixture([*runs, (PRIOR, float("nan"))], PRIOR)
    with pytest.raises(MixtureError, match="no regressor 'lightgbm'"):
        best_mixture(runs, PRIOR, "lightgbm")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MixtureError, match="0 small runs"):
        proxy_mixtures(PRIOR, 0, seed=0)
