import pytest

from sparsebench.suites.molecules.metrics.uniqueness import unique


def test_only_the_first_k_count():
    metric = unique(["C", "CC", "C", "CCC", "CCC"], 4)
    assert metric.value == 3 / 4 and metric.n == 4


def test_fewer_than_k():
    with pytest.raises(ValueError, match="unique@10 needs 10 valid molecules; there are 2"):
        unique(["C", "CC"], 10)
