"""Options of a mixture: those of the strategy reach it, others are errors that say what there is."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.data.errors import MixtureError
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.mixing.held_out import HeldOut
from sparsebench.suites.training.mixing.options import MixingOptions
from sparsebench.suites.training.mixing.rows import DataSets

SETS = DataSets(dict.fromkeys("abc", "xy"), dict.fromkeys("abc", "z"), list)
READ = HeldOut(batches={name: [[]] for name in "abc"}, loss=torch.sub, weight=len, forward=torch.sub)


def build(seed: int = 0, sets: DataSets = SETS, measured: dict[str, Any] | None = None, **options: Any) -> Any:
    context = Context(suite="s", task="t", seed=seed)
    return MixingOptions(**options).mixture(nn.Linear(1, 1), sets, READ, context, **(measured or {}))


def test_options_reach_the_strategy() -> None:
    stream, updates = build(eta=3.0, smoothing=0.5, distance="cosine", criterion="max", layers="all", interval=7)
    assert updates.strategy.settings() == {
        **{"distance": "cosine", "criterion": "max", "layers": "all", "eta": 3.0, "smoothing": 0.5},
        **{"at_start": False, "faithful": False},
    }
    assert updates.interval == 7 and updates.needs == {"loads"} and stream.weights == updates.strategy.weights
    stream, updates = build(strategy="static", weights={"a": 0.5, "b": 0.25, "c": 0.25})
    assert stream.weights == {"a": 0.5, "b": 0.25, "c": 0.25} and updates.needs == frozenset()
    _, updates = build(strategy="reference_loss", clamp=True, measured={"reference": dict.fromkeys("abc", 1.0)})
    assert updates.strategy.settings()["clamp"] and updates.needs == {"losses"}
    runs = {"runs": [], "kept": {"a": 0.2, "b": 0.3, "c": 0.5}, "draws": 4}
    stream, _ = build(strategy="proxy_regression", kl=0.1, repeats=2, measured=runs)
    assert stream.weights == runs["kept"]


def test_a_dense_model_is_watched_by_its_losses() -> None:
    assert build(strategy="uniform", watch=True)[1].needs == {"losses"}


def test_draws_depend_on_the_seed_and_not_on_the_strategy() -> None:
    first, second = (build(strategy=name)[0].next_draws() for name in ("uniform", "gate_load"))
    assert first == second != build(seed=1)[0].next_draws()


def test_needs_are_known_before_anything_is_built() -> None:
    assert MixingOptions().needs_loads and not MixingOptions(strategy="reference_loss").needs_loads


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "gate_loads"}, "no strategy 'gate_loads'.*gate_load"),
        ({"strategy": "uniform", "eta": 1.0}, "'uniform' has no option 'eta'"),
        ({"strategy": "static"}, "'static' needs weights"),
        ({"strategy": "proxy_regression"}, "'proxy_regression' needs runs"),
        ({"strategy": "static", "weights": {"a": 0.5, "b": 0.5, "d": 0.0}}, "no data set 'd' in the mixture"),
        ({"strategy": "static", "weights": {"a": 1.5, "b": -0.5, "c": 0.0}}, "-0.5"),
        ({"strategy": "static", "weights": {"a": 0.5, "b": 0.2, "c": 0.2}}, "sum to 0.9"),
        ({"interval": 0}, "interval=0"),
        ({"held_out_rows": 0}, "held_out_rows=0"),
    ],
)
def test_values_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(**options)


def test_two_data_sets_are_too_few_for_gate_loads() -> None:
    two = DataSets(dict.fromkeys("ab", "xy"), dict.fromkeys("ab", "z"), list)
    with pytest.raises(MixtureError, match="at least three"):
        build(sets=two)


def test_options_are_fields_of_a_method() -> None:
    """A method takes them over by inheriting."""

    @dataclass(frozen=True, kw_only=True)
    class Mine(MixingOptions):
        own: int = 1

    assert Mine(interval=5).interval == 5 and Mine().own == 1
