import pytest

from sparsebench.suites.molecules.metrics.reading import read, validity


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
