import json

import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.proxy_runs import ProxyRun, proxy_mixtures
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.named import STRATEGIES, strategy
from sparsebench.data.mixtures.strategies.reference_loss import ReferenceLoss

NAMES = ("a", "b", "c")
EQUAL: dict[str, float] = dict.fromkeys(NAMES, 1 / 3)
GIVEN = {
    "sizes": {"a": 3, "b": 4, "c": 5},
    "reference": {"a": 1.0, "b": 1.0, "c": 1.0},
    "seed": 7,
}
OWN = {
    "static": {"weights": {"a": 0.5, "b": 0.25, "c": 0.25}},
    "final_static": {"earlier": {"weights": {"a": 0.5, "b": 0.25, "c": 0.25}}},
    "sentence_embeddings": {"embeddings": {"a": [[1.0, 0.0]], "b": [[0.9, 0.1]], "c": [[0.0, 1.0]]}},
    "proxy_regression": {
        "runs": [ProxyRun(weights, {"x": 1 + weights["a"]}) for weights in proxy_mixtures(EQUAL, 9, seed=0)]
    },
}


def signal(steps):
    return Signal(
        losses={"a": 1.0, "b": 1.5, "c": 0.9},
        loads={"a": [[3, 1]], "b": [[2, 2]], "c": [[1, 3]]},  # pyright: ignore[reportArgumentType]
        steps=steps,
    )


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_by_name(name):
    """One call with all that a profile knows; weights that sum to 1 round after round; an exact state."""
    first = strategy(name, NAMES, **GIVEN, **OWN.get(name, {}))
    again = strategy(name, NAMES, **GIVEN, **OWN.get(name, {}))
    assert first.names == NAMES
    for steps in (0, 100, 200):
        after = first.update(signal(steps))
        assert after == first.weights == first.rounds[-1]["weights"]
        assert tuple(after) == NAMES
        assert sum(after.values()) == pytest.approx(1, abs=1e-12)
        assert min(after.values()) >= 0
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert again.update(signal(300)) == first.update(signal(300))
    assert again.rounds == first.rounds


def test_options_reach_the_class():
    made = strategy("reference_loss", NAMES, **GIVEN, eta=2.0, clamp=True, smoothing=None)
    assert isinstance(made, ReferenceLoss)
    assert (made.eta, made.clamp, made.smoothing) == (2.0, True, 0.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gateload", {}, "no strategy 'gateload'; did you mean gate_load"),
        ("gate_load", {"etta": 1.0}, "no option 'etta'; did you mean eta"),
        ("gate_load_static", {"etta": 1.0}, "no option 'etta'; did you mean eta"),
        ("uniform", {"eta": 1.0}, "strategy 'uniform' has no option 'eta'"),
        ("static", {}, "strategy 'static' needs weights"),
        ("by_size", {}, "strategy 'by_size' needs sizes"),
        ("reference_loss", {}, "strategy 'reference_loss' needs reference"),
    ],
)
def test_bad_names_and_options(name, options, message):
    with pytest.raises(MixtureError, match=message):
        strategy(name, NAMES, **options)
