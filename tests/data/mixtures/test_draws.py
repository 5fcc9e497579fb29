import json
from collections import Counter

import pytest
from scipy import stats

from sparsebench.data.errors import DryStreamError, MixtureError
from sparsebench.data.mixtures.draws import MixtureDraws

SIZES = {"code": 50, "math": 7, "chat": 300}
WEIGHTS = {"code": 0.2, "math": 0.3, "chat": 0.5}
LATER = {"code": 0.7, "math": 0.1, "chat": 0.2}


def draws(seed=0, **options):
    return MixtureDraws(SIZES, WEIGHTS, seed, **options)


def test_any_portions_give_the_same_draws():
    whole = draws().take(0, 600)
    parts = draws()
    found = []
    for start in range(0, 600, 13):
        found += parts.take(start, min(13, 600 - start))
    assert found == whole
    assert parts.take(100, 5) == whole[100:105]  # back again
    assert draws().take(517, 20) == whole[517:537]  # and straight there


def test_another_seed_gives_other_draws():
    assert draws(0).take(0, 50) != draws(1).take(0, 50)


def test_weights_change_from_their_draw_on():
    changed = draws()
    changed.set_weights(LATER, 200)
    same = draws().take(0, 400)
    found = changed.take(0, 400)
    assert found[:200] == same[:200]
    assert found[200:] != same[200:]
    again = draws()
    before = again.take(0, 200)
    again.set_weights(LATER, 200)
    assert before + again.take(200, 200) == found


@pytest.mark.parametrize("weights", [WEIGHTS, LATER])
def test_data_sets_are_drawn_as_often_as_their_weights_say(weights):
    changed = draws(seed=3)
    changed.take(0, 1000)
    changed.set_weights(weights, 1000)
    drawn = Counter(name for name, _ in changed.take(1000, 20_000))
    expected = [20_000 * weights[name] for name in SIZES]
    assert stats.chisquare([drawn[name] for name in SIZES], expected).pvalue > 0.001


def test_draws_do_not_depend_on_each_other():
    """Pairs of neighbours are as frequent as the products of their weights."""
    names = [name for name, _ in draws(seed=5).take(0, 40_000)]
    pairs = Counter(zip(names[::2], names[1::2], strict=True))
    expected = {(a, b): 20_000 * WEIGHTS[a] * WEIGHTS[b] for a in SIZES for b in SIZES}
    assert stats.chisquare([pairs[pair] for pair in expected], list(expected.values())).pvalue > 0.001


def test_each_pass_takes_all_rows_in_another_order():
    rows = [row for name, row in draws().take(0, 400) if name == "math"]
    passes = [tuple(rows[start : start + 7]) for start in range(0, len(rows) - 7, 7)]
    assert len(passes) > 10
    assert all(sorted(found) == list(range(7)) for found in passes)
    assert len(set(passes)) > 8


def test_a_data_set_that_is_not_repeated_runs_dry():
    with pytest.raises(DryStreamError, match="'math' ran dry: all of its 7 rows were drawn"):
        draws(repeat=False).take(0, 400)


def test_a_weight_of_zero_is_never_drawn():
    for weights in ({"code": 0.0, "math": 0.5, "chat": 0.5}, {"code": 0.5, "math": 0.5, "chat": 0.0}):
        found = MixtureDraws(SIZES, weights, 0).take(0, 5000)
        assert {name for name, _ in found} == {name for name in weights if weights[name]}


def test_counts():
    mixed = draws()
    mixed.set_weights(LATER, 100)
    found = Counter(name for name, _ in mixed.take(0, 250))
    assert mixed.counts(250) == {name: found[name] for name in SIZES}
    assert mixed.counts(0) == dict.fromkeys(SIZES, 0)


def test_a_state_goes_through_json_and_gives_the_same_draws_past_and_to_come():
    first = draws()
    begun = first.take(0, 130)
    first.set_weights(LATER, 130)
    begun += first.take(130, 70)
    first.set_weights({"code": 1 / 3, "math": 1 / 3, "chat": 1 / 3}, 250)
    state = json.loads(json.dumps(first.state_dict()))
    again = draws()
    again.load_state_dict(state)
    assert again.take(0, 200) == begun
    assert again.take(200, 300) == first.take(200, 300)
    assert again.history == first.history
    assert again.weights == first.weights


def test_a_state_replaces_draws_that_went_another_way():
    first, other = draws(), draws()
    first.take(0, 100)
    first.set_weights(LATER, 100)
    first.set_weights(WEIGHTS, 300)
    other.take(0, 40)
    other.set_weights(LATER, 40)
    other.take(40, 100)
    other.load_state_dict(first.state_dict())
    assert other.take(100, 500) == first.take(100, 500)


def test_going_on_after_a_data_set_ran_dry_tells_no_lies():
    dry, whole = draws(repeat=False), draws()
    with pytest.raises(DryStreamError):
        dry.take(0, 400)
    assert dry.take(0, 20) == whole.take(0, 20)


@pytest.mark.parametrize("change", [{"seed": 1}, {"repeat": False}])
def test_a_state_of_other_draws(change):
    with pytest.raises(MixtureError, match=f"with {next(iter(change))}"):
        draws(**change).load_state_dict(draws().state_dict())
    for sizes in ({**SIZES, "math": 8}, dict(reversed(SIZES.items()))):
        with pytest.raises(MixtureError, match="with sizes"):
            MixtureDraws(sizes, WEIGHTS, 0).load_state_dict(draws().state_dict())


def test_weights_cannot_change_the_past():
    mixed = draws()
    mixed.take(0, 100)
    with pytest.raises(MixtureError, match="draws below 100 are taken"):
        mixed.set_weights(LATER, 99)
    mixed.set_weights(LATER, 300)
    with pytest.raises(MixtureError, match="the last change is at draw 300"):
        mixed.set_weights(WEIGHTS, 200)
    mixed.set_weights(WEIGHTS, 300)  # thought better of it
    assert mixed.take(100, 300) == draws().take(100, 300)


@pytest.mark.parametrize(
    ("sizes", "weights", "message"),
    [
        ({"a": 0, "b": 3}, {"a": 0.5, "b": 0.5}, "'a' has 0 rows"),
        ({"a": 1, "b": 3}, {"a": 0.5, "b": 0.6}, "sum to 1.1"),
        ({"a": 1, "b": 3}, {"a": 0.5, "c": 0.5}, "no data set 'c' in the mixture"),
        ({}, {}, "at least one data set"),
    ],
)
def test_bad_mixtures(sizes, weights, message):
    with pytest.raises(MixtureError, match=message):
        MixtureDraws(sizes, weights, 0)


def test_no_draws_before_the_first():
    with pytest.raises(MixtureError, match="do not exist"):
        draws().take(-1, 2)


def test_the_first_draws_are_what_they_always_were():
    """Draws of committed studies hang on these."""
    assert draws().take(0, 6) == [("chat", 79), ("math", 1), ("chat", 15), ("chat", 70), ("code", 17), ("chat", 114)]
