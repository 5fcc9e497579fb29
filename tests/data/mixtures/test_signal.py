import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal, check_names

NAMES = ("code", "math", "chat")


def loads(**changes):
    found = {name: np.array([[3, 1], [2, 2]]) for name in NAMES}
    return found | changes


def test_shares_equal_a_count_by_hand():
    """Four tokens with two experts each, in two layers of three experts."""
    choices = [[[0, 1], [0, 2], [0, 1], [1, 2]], [[2, 1], [2, 0], [2, 1], [2, 0]]]
    counts_LE = np.zeros((2, 3), dtype=int)
    for layer, tokens in enumerate(choices):
        for experts in tokens:
            counts_LE[layer, experts] += 1
    shares_LE = Signal(loads={"code": counts_LE}).load_fractions()["code"]
    assert shares_LE.tolist() == [[3 / 8, 3 / 8, 2 / 8], [2 / 8, 2 / 8, 4 / 8]]


@pytest.mark.parametrize("scale", [1, 7, 1000])
def test_more_tokens_of_the_same_kind_are_the_same_shares(scale):
    one = Signal(loads=loads()).load_fractions()
    many = Signal(loads={name: scale * counts for name, counts in loads().items()}).load_fractions()
    for name in NAMES:
        assert np.array_equal(one[name], many[name])
        assert np.array_equal(one[name].sum(axis=1), [1, 1])


def test_what_is_needed_must_be_there():
    with pytest.raises(MixtureError, match="needs loads of held-out rows"):
        Signal(losses=dict.fromkeys(NAMES, 1.0)).check(NAMES, {"loads"})
    Signal().check(NAMES, ())


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named(loss):
    with pytest.raises(MixtureError, match=r"data set 'math' is (nan|inf) after 300 steps"):
        Signal(losses={"code": 1.0, "math": loss, "chat": 2.0}, steps=300).check(NAMES, ())


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.array([[float("nan"), 1], [2, 2]]), "not all finite"),
        (np.array([[-1, 1], [2, 2]]), "not all finite and at least 0"),
        (np.array([[3, 1, 4], [2, 2, 2]]), r"'code' and 'math' have the shapes \(2, 2\) and \(2, 3\)"),
        (np.array([3, 1]), r"the shape \(2,\), not \(layers, experts\)"),
        (np.array([[3, 1], [0, 0]]), "a layer in which no token chose an expert"),
    ],
)
def test_bad_loads_are_named(counts, message):
    with pytest.raises(MixtureError, match=message):
        Signal(loads=loads(math=counts)).check(NAMES, ())


def test_unknown_and_missing_names():
    with pytest.raises(MixtureError, match="losses: no data set 'maths' in the mixture; did you mean math"):
        check_names("losses", ["code", "maths", "chat"], NAMES)
    with pytest.raises(MixtureError, match="losses: none for data set 'chat'; give one for each of code, math, chat"):
        check_names("losses", ["code", "math"], NAMES)
