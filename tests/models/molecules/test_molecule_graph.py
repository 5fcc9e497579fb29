import pytest
import torch

from sparsebench.models.molecules.molecule_graph import ATOM_FEATURES, BOND_FEATURES, molecule_graphs

SMILES = ["C", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F"]


def test_graphs() -> None:
    graphs = molecule_graphs(SMILES)
    assert [graph.num_nodes for graph in graphs] == [1, 3, 6, 6, 2, 4]
    assert [graph.num_edges for graph in graphs] == [0, 4, 12, 10, 0, 6]
    for graph in graphs:
        assert (graph.x < torch.tensor(ATOM_FEATURES)).all() and (graph.edge_attr < torch.tensor(BOND_FEATURES)).all()
    assert graphs[1].x[:, 0].tolist() == [6, 6, 8]


@pytest.mark.parametrize("bad", ["C1CC", "not a molecule", "", "C(C)(C)(C)(C)C"])
def test_invalid_smiles_name_the_row(bad: str, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(ValueError, match="row 1: ") as caught:
        molecule_graphs(["CC", bad])
    assert repr(bad) in str(caught.value)
    assert capfd.readouterr().err == ""
