"""The table of a molecule set."""

import numpy as np
import pytest

from sparsebench.data.molecules.table import RejectedRow, build_table, parse_failure


def test_unreadable_rows_are_reported_not_dropped():
    smiles = ["CC", "C1CC", "c1ccccc1", "C(C)(C)(C)(C)C", ""]
    table = build_table("t", smiles, np.arange(10.0).reshape(5, 2), "regression", ["a", "b"], ["m", "s"])
    assert table.smiles == ["CC", "c1ccccc1"]
    assert table.targets.tolist() == [[0, 1], [4, 5]]
    assert [(row.row, row.smiles) for row in table.rejected] == [(1, "C1CC"), (3, "C(C)(C)(C)(C)C"), (4, "")]
    assert table.rejected[0] == RejectedRow(row=1, smiles="C1CC", reason="not a SMILES string")
    assert "valence" in table.rejected[1].reason
    assert table.rejected[2].reason == "no atoms"


def test_parse_failure_accepts_what_rdkit_reads():
    assert [parse_failure(text) for text in ("C", "[Na+].[Cl-]", "c1cc[nH]c1")] == [None] * 3
    assert "kekulize" in str(parse_failure("c1cccn1C(=O)c1cncc1"))


@pytest.mark.parametrize("smiles", ["F/C=C FF/C=", "CCO ethanol", "C\tC", "C\nC"])
def test_what_stands_behind_a_blank_is_not_dropped(smiles: str):
    """Audit D13: RDKit reads up to the blank, and the whole text was kept as that molecule's."""
    reason = parse_failure(smiles)
    assert reason is not None and reason.startswith("a blank in it")
