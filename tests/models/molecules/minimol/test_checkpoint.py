"""The released checkpoint: every tensor has its place, and fingerprints are those of the released code."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch

from sparsebench.models.errors import ModelError
from sparsebench.models.molecules.minimol import MiniMolConfig, PretrainedMiniMol, load_minimol, minimol_graphs
from sparsebench.models.molecules.minimol.checkpoint import from_released, released_names

from ...agreement import agree
from ...oracles.oracle import Oracle, rounding
from .sizes import SMALL

IDLE = "model.encoder_manager.pe_encoders.rw_pos.first_normalization."


def made(config: MiniMolConfig) -> tuple[PretrainedMiniMol, dict[str, Tensor]]:
    """A network, and a checkpoint that holds it."""
    network = PretrainedMiniMol(config)
    own = network.state_dict()
    released = {name: own[place].half() for name, place in released_names(network).items()}
    return network, released | {f"{IDLE}weight": torch.ones(16), f"{IDLE}bias": torch.zeros(16)}


def test_tensors_of_the_published_sizes() -> None:
    network = PretrainedMiniMol(MiniMolConfig())
    names = released_names(network)
    assert len(names) == len(network.state_dict()) == 342 and len(set(names)) == 342
    numbers = sum(tensor.numel() for tensor in network.state_dict().values())
    assert numbers + 2 * 16 == 10_323_665
    shapes = {name: (*network.state_dict()[place].shape,) for name, place in names.items()}
    assert shapes["model.gnn.layers.0.model.nn.fully_connected.1.linear.weight"] == (336, 128)
    assert shapes["model.gnn.layers.15.model.lin.weight"] == (336, 168)
    assert shapes["model.gnn.virtual_node_layers.14.node_projection.bias"] == (336,)
    assert shapes["model.task_heads.task_heads.pcba_1328.layers.1.linear.weight"] == (1328, 128)


def test_each_tensor_goes_to_its_place() -> None:
    network, released = made(SMALL)
    found = from_released(released, SMALL).state_dict()
    for name, tensor in network.state_dict().items():
        halved = name.endswith("project.weight") or (name.startswith("heads.") and name.endswith("3.weight"))
        assert torch.equal(found[name], tensor.half().float() / (2 if halved else 1)), name


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    _, released = made(SMALL)
    some = "model.gnn.layers.1.model.lin.weight"
    wrong = {
        r"'model.gnn.layers.1.model.lin.weight' is missing": {k: v for k, v in released.items() if k != some},
        r"'more' is none of MiniMol's: it would be left over": released | {"more": torch.ones(1)},
        r"has the shape \(2, 2\), not \(24, 12\)": released | {some: torch.ones(2, 2)},
        r"holds numbers that are not finite": released | {some: released[some] * torch.nan},
        r"is of a norm that MiniMol never calls, and is not 1": released | {f"{IDLE}weight": torch.zeros(16)},
    }
    for message, tensors in wrong.items():
        with pytest.raises(ModelError, match=message):
            from_released(tensors, SMALL)
    file = tmp_path / "state_dict.pth"
    file.write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match=r"state_dict.pth is no checkpoint of MiniMol"):
        load_minimol(file)
    torch.save([1.0], file)
    with pytest.raises(ModelError, match="it holds a list"):
        load_minimol(file)


@torch.no_grad()
def test_fingerprints_are_those_of_the_released_code(released: PretrainedMiniMol, oracle: Oracle) -> None:
    """For the eigenvectors that were recorded with them: their signs are what a build of LAPACK makes of them."""
    graphs = minimol_graphs(oracle.about["smiles"])
    for row, graph in enumerate(graphs):
        for name in ("eigenvalues", "returns"):
            torch.testing.assert_close(graph[name], oracle[f"{row}.{name}"].float(), atol=2e-3, rtol=2e-3)
        for name in ("eigenvalues", "eigenvectors", "returns"):
            graph[name] = oracle[f"{row}.{name}"].float()
    batch = Batch.from_data_list(graphs)
    within = rounding(products=16 * 7, terms=336)
    agree(released.trunk(batch), oracle["fingerprints"], "fingerprints", within=within)
    agree(released(batch)["pcqm4m_g25"], oracle["pcqm4m_g25"], "predictions", within=within)


@torch.no_grad()
def test_fingerprints_of_strings(released: PretrainedMiniMol, oracle: Oracle) -> None:
    """With eigenvectors of this machine, which may have other signs: far nearer than without any."""
    batch = Batch.from_data_list(minimol_graphs(oracle.about["smiles"]))
    expected = oracle["fingerprints"]
    near = (released.trunk(batch) - expected).norm(dim=1)
    batch.eigenvectors = torch.zeros_like(batch.eigenvectors)
    without = (released.trunk(batch) - expected).norm(dim=1)
    assert (near < without).all() and (without < 0.5 * expected.norm(dim=1)).all()
