import pytest

from sparsebench.suites.molecules.metrics.reading import copies, novelty, read, unique, validity


def test_valid_entries_are_canonical_and_in_order(capfd: pytest.CaptureFixture):
    entries = read(["OCC", None, "", " ", "C(", "c1cccc1", "C(C)(C)(C)(C)C", "CC.O", "OCC"])
    assert entries.smiles == ["CCO", "CC.O", "CCO"] and entries.entries == 9
    assert [molecule.GetNumAtoms() for molecule in entries.molecules] == [3, 3, 3]
    metric = validity(entries)
    assert metric.value == pytest.approx(3 / 9) and metric.n == 9
    assert metric.stderr == pytest.approx((1 / 3 * 2 / 3 / 8) ** 0.5)
    assert capfd.readouterr().err == ""


def test_no_entries():
    with pytest.raises(ValueError, match="not defined"):
        validity(read([]))
    assert validity(read([None])).value == 0


@pytest.mark.parametrize("training", [["C", "N", "C"], {"C", "N"}, frozenset("CN"), {"C": 1, "N": 2}.keys()])
def test_is_of_the_distinct_molecules(training):
    """C is known; CC and CCC are new and CC counts once."""
    metric = novelty(["C", "CC", "CC", "CC", "CCC"], training)
    assert metric.value == pytest.approx(2 / 3) and metric.n == 3


def test_nothing_known_and_nothing_generated():
    assert novelty(["C"], []).value == 1
    with pytest.raises(ValueError, match="not defined"):
        novelty([], {"C"})


def test_copies_are_of_all_molecules_repeated_ones_too():
    metric = copies(["C", "CC", "C", "CCC", "CCC"], {"C", "N"})
    assert metric.value == 2 / 5 and metric.n == 5 and not metric.higher_is_better
    with pytest.raises(ValueError, match="not defined"):
        copies([], {"C"})


def test_only_the_first_k_count():
    metric = unique(["C", "CC", "C", "CCC", "CCC"], 4)
    assert metric.value == 3 / 4 and metric.n == 4


def test_fewer_than_k():
    with pytest.raises(ValueError, match="unique@10 needs 10 valid molecules; there are 2"):
        unique(["C", "CC"], 10)
