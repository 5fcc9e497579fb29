import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.proxy_runs import proxy_mixtures
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.proxy_regression import ProxyRegression
from sparsebench.data.mixtures.strategies.static import SHARES, SLIMPAJAMA

NAMES = ("a", "b", "c")


def runs(prior, count=24):
    names = tuple(prior)
    return [(weights, 3.0 - weights[names[0]]) for weights in proxy_mixtures(prior, count, seed=0)]


def test_weights_are_found_once_and_stay():
    strategy = ProxyRegression(NAMES, runs(dict.fromkeys(NAMES, 1 / 3)))
    assert strategy.weights["a"] > 0.9
    assert strategy.update(Signal(losses=dict.fromkeys(NAMES, 1.0))) == strategy.weights


def test_published_priors_by_name():
    strategy = ProxyRegression(SLIMPAJAMA, runs(SHARES["llama"]), prior="llama")
    assert sum(strategy.weights.values()) == pytest.approx(1, abs=1e-12)
    with pytest.raises(MixtureError, match="prior shares: no data set 'commoncrawl'"):
        ProxyRegression(NAMES, runs(dict.fromkeys(NAMES, 1 / 3)), prior="llama")
