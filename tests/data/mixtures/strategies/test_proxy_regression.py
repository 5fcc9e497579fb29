"""Mixtures by a regression on small runs whose losses follow known laws."""

from typing import Any

import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.log_linear import Laws
from sparsebench.data.mixtures.proposer import propose
from sparsebench.data.mixtures.proxy_runs import ProxyRun, proxy_mixtures
from sparsebench.data.mixtures.reuse import KEPT, Reuse
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.proxy_regression import ProxyRegression
from sparsebench.data.mixtures.strategies.static import SHARES, SLIMPAJAMA

NAMES = ("a", "b", "c")
SIZES = {"a": 800, "b": 150, "c": 50}
NATURAL = {"a": 0.8, "b": 0.15, "c": 0.05}
LAWS = Laws(np.array([1.0, 0.4, 0.2]), np.array([[-1.0, 0.5, 0.8], [0.3, -2.0, 0.1], [0.2, 0.4, -1.4]]))


def trained(mixtures: list[dict[str, float]], laws: Laws = LAWS) -> list[ProxyRun]:
    """Small runs whose losses are those of the laws."""
    found = []
    for weights in mixtures:
        losses_J = laws.losses(np.array(list(weights.values())))
        found.append(ProxyRun(weights, {f"set {number}": loss for number, loss in enumerate(losses_J)}))
    return found


RUNS = trained(proxy_mixtures(NATURAL, 8, seed=0))


def test_weights_are_the_best_of_the_laws_and_stay():
    strategy = ProxyRegression(NAMES, RUNS, sizes=SIZES, kl=0.1)
    best = propose(LAWS, np.array(list(NATURAL.values())), 0.1, np.ones(3))
    assert list(strategy.weights.values()) == pytest.approx(best.tolist(), abs=1e-4)
    assert strategy.update(Signal(losses=dict.fromkeys(NAMES, 1.0))) == strategy.weights


def test_no_row_is_seen_too_often():
    """400 draws, and each of 50 rows once at most: 0.125 of them; unbounded it would be more."""
    assert propose(LAWS, np.array(list(NATURAL.values())), 0.0, np.ones(3))[2] > 0.2
    bounded = ProxyRegression(NAMES, RUNS, sizes=SIZES, kl=0.0, repeats=1, draws=400).weights
    assert bounded["c"] == pytest.approx(0.125, abs=1e-6)


def test_reuse_keeps_ratios_and_without_a_new_set_the_mixture():
    kept = {"a": 0.6, "b": 0.4}
    reuse = Reuse(NAMES, kept)
    mixtures = [reuse.expanded(free) for free in proxy_mixtures({KEPT: 0.95, "c": 0.05}, 6, seed=0)]
    found = ProxyRegression(NAMES, trained(mixtures), kept=kept, sizes=SIZES, kl=0.0).weights
    assert found["a"] / found["b"] == pytest.approx(1.5)
    places = np.linspace(0, 1, 1001)
    along = LAWS.losses(np.c_[0.6 * (1 - places), 0.4 * (1 - places), places]).mean(1)
    assert found["c"] == pytest.approx(places[along.argmin()], abs=2e-3)
    best = ProxyRegression(NAMES, RUNS, sizes=SIZES).weights
    assert ProxyRegression(NAMES, [], kept=best, sizes=SIZES).weights == pytest.approx(best, abs=1e-15)


def test_published_natural_mixtures_by_name():
    runs = trained(proxy_mixtures(SHARES["llama"], 8, seed=0), Laws(np.ones(1), np.zeros((1, len(SLIMPAJAMA)))))
    assert ProxyRegression(SLIMPAJAMA, runs, prior="llama").weights == pytest.approx(SHARES["llama"], abs=1e-4)
    with pytest.raises(MixtureError, match="prior fractions: no data set 'commoncrawl'"):
        ProxyRegression(NAMES, RUNS, prior="llama")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kl": -1.0}, "kl is -1.0"),
        ({"repeats": 3}, "give sizes and draws"),
        ({"repeats": 0, "draws": 400, "sizes": SIZES}, "repeats=0 and draws=400"),
        ({"kept": {"a": 0.5, "b": 0.5}}, "other ratios"),
    ],
)
def test_bad_options(options: dict[str, Any], words: str):
    with pytest.raises(MixtureError, match=words):
        ProxyRegression(NAMES, RUNS, **options)
