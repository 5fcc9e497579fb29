"""The choice of candidates against sorting by hand, in one round and in several."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.granularity import SingleWeights
from sparsebench.models.sparsity.masked import Masked, MaskedLinear
from sparsebench.models.sparsity.selection import Group, choose, restored, shuffled


def layers_with(*rows: list[float]) -> list[Masked]:
    layers: list[Masked] = []
    for row in rows:
        layer = MaskedLinear(len(row), 1, bias=False)
        layer.stored.data.copy_(torch.tensor([row]))
        layers.append(layer)
    return layers


def weights_of(layers: list[Masked]) -> Callable[[], list[Tensor]]:
    return lambda: [layer.stored.detach().clone() for layer in layers]


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=1, max_size=4),
    density=st.floats(0, 1),
    rounds=st.integers(1, 3),
)
def test_the_best_of_all_stay_and_the_earlier_of_equals(rows: list[list[int]], density: float, rounds: int) -> None:
    layers = layers_with(*[[float(value) for value in row] for row in rows])
    flat = [value for row in rows for value in row]
    count = round(density * len(flat))
    group = Group(parts=range(len(rows)), left=len(flat), keep=count)
    assume(len(set(flat)) > 1 or count == len(flat))  # equal scores decide nothing: another test
    keep, _ = choose(SingleWeights(layers), [group], layers, weights_of(layers), rounds=rounds, schedule="linear")
    ranked = sorted(range(len(flat)), key=lambda i: -flat[i])
    stays = torch.cat(keep).nonzero()[:, 0].tolist()
    assert stays == sorted(ranked[:count])


def test_groups_are_ranked_by_themselves() -> None:
    layers = layers_with([9.0, 8.0, 7.0], [1.0, 3.0, 2.0])
    groups = [Group(parts=[0], left=3, keep=1), Group(parts=[1], left=3, keep=2)]
    keep, ties = choose(SingleWeights(layers), groups, layers, weights_of(layers), rounds=1, schedule="linear")
    assert [part.tolist() for part in keep] == [[True, False, False], [False, True, True]] and ties == 0


def test_ties_at_the_border_are_counted() -> None:
    layers = layers_with([2.0, 1.0, 1.0, 1.0])
    group = Group(parts=[0], left=4, keep=2)
    keep, ties = choose(SingleWeights(layers), [group], layers, weights_of(layers), rounds=1, schedule="linear")
    assert keep[0].tolist() == [True, True, False, False] and ties == 3


def test_what_is_out_is_zero_in_later_rounds_and_stays_out() -> None:
    """The second round scores the first entry highest only if the others were removed before."""
    layers = layers_with([1.0, 4.0, 3.0, 2.0])
    seen: list[list[float]] = []

    def score() -> list[Tensor]:
        values = layers[0].stored.detach()
        seen.append(values.flatten().tolist())
        return [values.abs() if len(seen) == 1 else -values]

    group = Group(parts=[0], left=4, keep=1)
    keep, _ = choose(SingleWeights(layers), [group], layers, score, rounds=3, schedule="linear")
    assert seen == [[1.0, 4.0, 3.0, 2.0], [0.0, 4.0, 3.0, 2.0], [0.0, 0.0, 3.0, 2.0]]
    assert keep[0].tolist() == [False, False, False, True]
    assert layers[0].stored.flatten().tolist() == [1.0, 4.0, 3.0, 2.0], "as before"


def test_nothing_is_scored_where_nothing_is_to_decide() -> None:
    def score() -> list[Tensor]:
        raise AssertionError("scored")

    layers = layers_with([1.0, 2.0], [3.0, 4.0])
    groups = [Group(parts=[0], left=2, keep=0), Group(parts=[1], left=2, keep=2)]
    keep, _ = choose(SingleWeights(layers), groups, layers, score, rounds=1, schedule="exponential")
    assert [part.tolist() for part in keep] == [[False, False], [True, True]]


@pytest.mark.parametrize(
    ("scores", "message"),
    [([1.0, float("nan"), 2.0], "1 of 3 scores are NaN or infinite"), ([1.0, 1.0, 1.0], "all scores equal 1")],
)
def test_scores_that_cannot_decide(scores: list[float], message: str) -> None:
    layers = layers_with([1.0, 2.0, 3.0])
    group = Group(parts=[0], left=3, keep=1)
    with pytest.raises(ModelError, match=message):
        choose(SingleWeights(layers), [group], layers, lambda: [torch.tensor(scores)], rounds=1, schedule="linear")
    assert layers[0].stored.flatten().tolist() == [1.0, 2.0, 3.0]


def test_more_than_is_left_cannot_stay() -> None:
    with pytest.raises(ModelError, match=r"5 weights .* shall stay, but earlier pruning left only 4"):
        Group(parts=[0], left=4, keep=5)


def test_shuffling_keeps_the_counts() -> None:
    keep = [torch.arange(20) < 7, torch.arange(9) < 9]
    drawn = shuffled(keep, torch.Generator().manual_seed(0))
    assert [int(part.sum()) for part in drawn] == [7, 9] and not torch.equal(drawn[0], keep[0])


def test_values_come_back_after_an_error() -> None:
    layers = layers_with([1.0, 2.0])
    with pytest.raises(RuntimeError), restored(layers):
        layers[0].stored.data.zero_()
        raise RuntimeError
    assert layers[0].stored.flatten().tolist() == [1.0, 2.0]
