import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.gate_load import GateLoad, GateLoadStatic
from sparsebench.data.mixtures.weights import moved

OFFICIAL = json.loads(Path(__file__).with_name("moe_sft_official.json").read_text(encoding="utf-8"))
NAMES = tuple(OFFICIAL["names"])
DISTANCES: dict[str, Any] = {"l2": "l2", "cos": "cosine", "~l2": "inverse"}
LOADS = {
    "code": [[0.30, 0.20, 0.10, 0.05, 0.05, 0.10, 0.10, 0.10]],
    "math": [[0.05, 0.25, 0.25, 0.15, 0.10, 0.10, 0.05, 0.05]],
    "orca": [[0.12, 0.13] * 4],
    "share": [[0.125] * 8],
}


def signal(loads=None, steps=100):
    return Signal(loads={name: np.array(rows) for name, rows in (loads or LOADS).items()}, steps=steps)


def official_signals(case):
    for counts in OFFICIAL["counts"][case]:
        yield Signal(loads={name: np.array([row]) for name, row in zip(NAMES, counts, strict=True)})


def has_ties(rounds):
    return any(len(set(deltas)) < len(deltas) for deltas, _ in rounds)


def official_id(case):
    return "-".join(str(part) for part in (*case[:5], case[5][0]))


def test_the_official_callback_over_three_rounds(subtests: pytest.Subtests):
    for case in OFFICIAL["cases"]:
        with subtests.test(case=case):
            name, similarity, criterion, eta, smoothing, start, rounds = case
            strategy = GateLoad(
                NAMES,
                distance=DISTANCES[similarity],
                criterion=criterion,
                eta=eta,
                smoothing=smoothing,
                start=dict(zip(NAMES, start, strict=True)),
                faithful=True,
            )
            before = start
            assert len(rounds) == 3
            for found, (deltas, weights) in zip(official_signals(name), rounds, strict=True):
                strategy.update(found)
                ours = list(strategy.seen["deltas"].values())
                # Data sets that are equally far are reversed in the order in which the official sort leaves them: with
                # it, the same values, whichever of them has which.
                assert sorted(ours) == pytest.approx(sorted(deltas), abs=1e-12)
                assert moved(np.array(before), np.array(deltas), eta, smoothing) == pytest.approx(weights, abs=1e-12)
                if similarity != "~l2" or not has_ties(rounds):
                    assert ours == pytest.approx(deltas, abs=1e-12)
                    assert list(strategy.weights.values()) == pytest.approx(weights, abs=1e-12)
                before = weights


def test_the_official_cases_are_all_there():
    kinds = {tuple(case[1:3]) for case in OFFICIAL["cases"]}
    assert kinds == set(itertools.product(("l2", "cos", "~l2"), ("mean", "min", "max")))
    assert len(OFFICIAL["cases"]) == 54


@pytest.mark.parametrize(
    ("distance", "weights"),
    [
        ("l2", [0.339474446, 0.335846150, 0.162502897, 0.162176507]),
        ("cosine", [0.337629193, 0.332184010, 0.165351019, 0.164835778]),
        ("inverse", [0.162176507, 0.162502897, 0.335846150, 0.339474446]),
    ],
)
def test_vectors_of_the_official_callback(distance, weights):
    after = GateLoad(NAMES, distance=distance).update(signal())
    assert list(after.values()) == pytest.approx(weights, abs=1e-9)


@pytest.mark.parametrize("distance", ["l2", "cosine", "inverse"])
@pytest.mark.parametrize("criterion", ["mean", "min", "max"])
def test_equal_loads_are_a_fixed_point(distance, criterion):
    strategy = GateLoad(NAMES, distance=distance, criterion=criterion)
    after = strategy.update(signal(dict.fromkeys(NAMES, LOADS["math"])))
    assert list(after.values()) == pytest.approx([0.25] * 4, abs=1e-12)


@pytest.mark.parametrize("distance", ["l2", "cosine", "inverse"])
@pytest.mark.parametrize("criterion", ["mean", "min", "max"])
def test_permuting_data_sets_permutes_weights(distance, criterion):
    start = dict(zip(NAMES, (0.4, 0.3, 0.2, 0.1), strict=True))
    expected = GateLoad(NAMES, distance=distance, criterion=criterion, start=start).update(signal())
    for order in itertools.permutations(NAMES):
        after = GateLoad(order, distance=distance, criterion=criterion, start=start).update(signal())
        assert tuple(after) == order
        assert after == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.8, 1.0])
def test_bounds_over_many_rounds(smoothing):
    strategy = GateLoad(NAMES, smoothing=smoothing)
    random = np.random.default_rng(0)
    for steps in range(200):
        after = strategy.update(Signal(loads={name: random.integers(1, 9, (2, 8)) ** 3 for name in NAMES}, steps=steps))
        assert sum(after.values()) == pytest.approx(1, abs=1e-12)
        assert min(after.values()) >= smoothing / 4 - 1e-12
        assert max(after.values()) <= 1 - smoothing + smoothing / 4 + 1e-12


def test_which_layers_count():
    flat = [0.125] * 8
    loads = {name: [rows[0], flat] for name, rows in LOADS.items()}
    assert list(GateLoad(NAMES).update(signal(loads)).values()) == pytest.approx([0.25] * 4, abs=1e-12)
    first = GateLoad(NAMES, layers="first")
    assert first.update(signal(loads)) == pytest.approx(GateLoad(NAMES).update(signal()), abs=1e-12)
    every = GateLoad(NAMES, layers="all")
    every.update(signal(loads))
    halved = {name: delta / 2 for name, delta in first.seen["deltas"].items()}
    assert every.seen["deltas"] == pytest.approx(halved, abs=1e-12)
    assert np.shape(every.seen["loads"]["code"]) == (2, 8)


def test_the_log_holds_distances_in_the_order_of_the_names():
    strategy = GateLoad(NAMES)
    strategy.update(signal())
    distance = np.linalg.norm(np.array(LOADS["code"][0]) - np.array(LOADS["math"][0]))
    assert strategy.seen["distances"][0][1] == pytest.approx(distance, abs=1e-12)
    assert sum(strategy.seen["distances"][0]) / 4 == pytest.approx(strategy.seen["deltas"]["code"], abs=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_data_sets(count):
    with pytest.raises(MixtureError, match=f"needs at least three data sets, not {count}"):
        GateLoad(NAMES[:count])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance": "l1"}, "no distance 'l1'; did you mean l2"),
        ({"criterion": "median"}, "no criterion 'median'"),
        ({"layers": "middle"}, "no choice of layers 'middle'"),
        ({"eta": 0.0}, "eta is 0.0"),
        ({"smoothing": 1.5}, "smoothing is 1.5"),
        ({"start": "lama"}, "no published shares 'lama'; did you mean llama"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(MixtureError, match=message):
        GateLoad(NAMES, **options)


def test_static_moves_once_before_the_first_step():
    strategy = GateLoadStatic(NAMES, eta=5.0)
    assert strategy.at_start
    assert not GateLoad(NAMES).at_start
    first = strategy.update(signal(steps=0))
    assert first == GateLoad(NAMES, eta=5.0).update(signal())
    later = strategy.update(signal({**LOADS, "share": LOADS["code"]}))
    assert later == first
