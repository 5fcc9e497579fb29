import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.random_weights import RandomWeights
from sparsebench.data.mixtures.strategies.static import (
    REFERENCE_LOSSES,
    SHARES,
    SLIMPAJAMA,
    BySize,
    FinalStatic,
    Static,
    Uniform,
)

SIZES = {"a": 900, "b": 90, "c": 10}


def test_weights_stay():
    strategy = Static(("a", "b"), {"b": 0.75, "a": 0.25})
    assert strategy.update(Signal(losses={"a": 1.0, "b": 9.0}, steps=100)) == {"a": 0.25, "b": 0.75}


def test_uniform():
    assert Uniform(("a", "b", "c", "d")).weights == dict.fromkeys("abcd", 0.25)


def test_by_size():
    assert BySize(tuple(SIZES), SIZES).weights == pytest.approx({"a": 0.9, "b": 0.09, "c": 0.01}, abs=1e-15)


def test_temperature_is_between_sizes_and_uniform():
    flat = BySize(tuple(SIZES), SIZES, temperature=2.0).weights
    total = 900**0.5 + 90**0.5 + 10**0.5
    assert flat == pytest.approx({name: size**0.5 / total for name, size in SIZES.items()}, abs=1e-15)
    assert BySize(tuple(SIZES), SIZES, temperature=1e9).weights == pytest.approx(dict.fromkeys("abc", 1 / 3), abs=1e-6)
    assert BySize(tuple(SIZES), SIZES, temperature=0.001).weights["a"] == 1


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_bad_temperatures(temperature):
    with pytest.raises(MixtureError, match="temperature"):
        BySize(tuple(SIZES), SIZES, temperature)


def test_published_shares():
    assert Static(SLIMPAJAMA, "sheared-llama").weights == pytest.approx(SHARES["sheared-llama"], abs=1e-15)
    with pytest.raises(MixtureError, match="no published shares 'sheared'; did you mean sheared-llama"):
        Static(SLIMPAJAMA, "sheared")
    with pytest.raises(MixtureError, match="weights: no data set 'commoncrawl' in the mixture"):
        Static(("code", "math"), "llama")


def test_the_weights_with_which_another_run_ended():
    earlier = RandomWeights(tuple(SIZES), seed=1)
    earlier.update(Signal(steps=10))
    assert FinalStatic(tuple(SIZES), earlier.state_dict()).weights == pytest.approx(earlier.weights, abs=1e-15)
    with pytest.raises(MixtureError, match=r"state_dict\(\)"):
        FinalStatic(tuple(SIZES), {})


@pytest.mark.parametrize("name", sorted(SHARES))
def test_published_shares_sum_to_one(name):
    assert sum(SHARES[name].values()) == pytest.approx(1, abs=2e-7)


def test_the_tables_of_slimpajama_name_its_seven_domains():
    for table in (SHARES["llama"], SHARES["sheared-llama"], REFERENCE_LOSSES["llama-2-7b"]):
        assert tuple(table) == SLIMPAJAMA
