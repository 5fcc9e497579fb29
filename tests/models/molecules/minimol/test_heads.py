"""What MiniMol predicts of molecules and atoms."""

import torch
from torch_geometric.data import Batch

from sparsebench.models.molecules.minimol import PretrainedMiniMol, minimol_graphs
from sparsebench.models.molecules.minimol.heads import OUTPUTS

from .sizes import SMALL


@torch.no_grad()
def test_one_row_for_each_molecule_or_atom() -> None:
    network = PretrainedMiniMol(SMALL).eval()
    found = network(Batch.from_data_list(minimol_graphs(["CCO", "C"])))
    assert {name: (*rows.shape,) for name, rows in found.items()} == {
        name: (2 if level == "graph" else 4, outputs) for name, (level, outputs) in OUTPUTS.items()
    }
    alone = network(minimol_graphs(["CCO"])[0])
    torch.testing.assert_close(found["pcba_1328"][:1], alone["pcba_1328"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["pcqm4m_n4"][:3], alone["pcqm4m_n4"], atol=1e-5, rtol=1e-4)
