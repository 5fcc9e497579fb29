import pytest

from sparsebench.suites.molecules.metrics.novelty import novelty


@pytest.mark.parametrize("training", [["C", "N", "C"], {"C", "N"}, frozenset("CN"), {"C": 1, "N": 2}.keys()])
def test_is_of_the_distinct_molecules(training):
    """C is known; CC and CCC are new and CC counts once."""
    metric = novelty(["C", "CC", "CC", "CC", "CCC"], training)
    assert metric.value == pytest.approx(2 / 3) and metric.n == 3


def test_nothing_known_and_nothing_generated():
    assert novelty(["C"], []).value == 1
    with pytest.raises(ValueError, match="not defined"):
        novelty([], {"C"})
