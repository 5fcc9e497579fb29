"""What people hand in as molecules: one, many, a table with a column of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem

from ...errors import ModelError
from .graph_input import is_one_graph

_COLUMN = "smiles"


def listed(given: Any) -> Iterable[Any]:
    """The molecules as something to go through; what is one thing counts as a list of one.

    Args:
        given: a molecule, an iterable of some, an array (N,) or (N, 1), or a table (a DataFrame, a mapping of columns).

    Returns:
        The molecules. Of a table the column called "smiles", in any letters; else the one whose name holds that; else
        the only one.

    Raises:
        ModelError: a table of which more or fewer than one column can be meant, or an array of several columns.

    Example::

        listed(pandas.DataFrame({"id": [1], "SMILES": ["CCO"]}))  # the column SMILES
    """
    if hasattr(given, "tocsr"):  # one form of which is a mapping
        raise ModelError("a sparse matrix is no list of molecules")
    if isinstance(given, Mapping) or (hasattr(given, "columns") and hasattr(given, "__getitem__")):
        names = list(given if isinstance(given, Mapping) else given.columns)
        return listed(given[_column(names)])
    if isinstance(given, np.ndarray) and given.ndim != 1:
        if given.ndim != 2 or given.shape[1] != 1:
            raise ModelError(f"an array of shape {given.shape} is no list of molecules: give one column of it")
        return given[:, 0]
    one = isinstance(given, str | Path | Chem.Mol) or is_one_graph(given)
    if one or not (hasattr(given, "__iter__") or hasattr(given, "__getitem__")):
        return [given]
    return given


def _column(names: list[Any]) -> Any:
    called = [name for name in names if str(name).strip().lower() == _COLUMN]
    holding = [name for name in names if _COLUMN in str(name).lower()]
    for found in (called, holding, names):
        if len(found) == 1:
            return found[0]
        if found:
            break
    raise ModelError(f"which column of the table has the SMILES strings? Give one of {names[:12]} as table[name]")
