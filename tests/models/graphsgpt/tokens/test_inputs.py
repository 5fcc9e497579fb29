"""What is handed in becomes a list of molecules, or one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.tokens.inputs import listed


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("CCO", ["CCO"]),
        (Path("a.smi"), [Path("a.smi")]),
        (3.5, [3.5]),
        (np.array([["CCO"], ["CC"]]), ["CCO", "CC"]),
        (pd.DataFrame({"y": [1], "SMILES": ["CCO"], "old_smiles": ["CC"]}), ["CCO"]),
        (pd.DataFrame({"y": [1], "canonical_smiles": ["CCO"]}), ["CCO"]),
        ({"anything": ["CCO", "C"]}, ["CCO", "C"]),
    ],
)
def test_what_is_listed(given: object, expected: list[object]) -> None:
    assert list(listed(given)) == expected


@pytest.mark.parametrize("names", [("a_smiles", "b_smiles"), ("a", "b"), ("SMILES", "smiles")])
def test_a_table_of_which_no_column_is_meant(names: tuple[str, str]) -> None:
    with pytest.raises(ModelError, match="which column of the table has the SMILES strings"):
        listed(pd.DataFrame({name: ["CC"] for name in names}))


def test_a_matrix_is_no_list() -> None:
    with pytest.raises(ModelError, match=r"an array of shape \(2, 2\)"):
        listed(np.array([["C", "C"], ["C", "C"]]))
