"""MLPs whose norm was put in front of them compute what they did, and can be cut."""

import pytest
import torch
from torch_geometric.data import Batch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.molecules.minimol import MiniMol, fold_norms, minimol_graphs

from .sizes import SMALL

SMILES = ["CCO", "C", "c1ccoc1"]


@torch.no_grad()
def test_the_network_computes_what_it_did(small: MiniMol) -> None:
    graphs = Batch.from_data_list(minimol_graphs(SMILES))
    expected = small(graphs)
    torch.testing.assert_close(fold_norms(small)(graphs), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(ModelError, match=r"layers.0.gine.mlp is a FoldedMLP: it has no norm to fold"):
        fold_norms(small)


@torch.no_grad()
def test_experts_of_all_neurons_are_the_network(small: MiniMol) -> None:
    graphs = Batch.from_data_list(minimol_graphs(SMILES))
    expected = small(graphs)
    everything = MoEConfig(num_experts=4, top_k=4, split="random", score="none", scale="exact")
    with pytest.raises(ModelError, match=r"holds parameters outside its linear layers \(a norm\?\)"):
        convert(small, everything)
    mixture = convert(fold_norms(small), everything)
    torch.testing.assert_close(mixture(graphs), expected, atol=1e-5, rtol=1e-4)
    fewer = convert(fold_norms(MiniMol(SMALL)), MoEConfig(num_experts=4, top_k=1, split="random", score="none"))
    assert fewer(graphs).isfinite().all()
