"""MiniMol as methods see it: blocks that can go, MLPs that can be replaced, places for adapters."""

import copy

import pytest
import torch
from torch_geometric.data import Batch

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.compression.slimming.pruning import PruningConfig, prune
from sparsebench.models.errors import ModelError
from sparsebench.models.molecules.minimol import MiniMol, fold_norms, minimol_graphs

SMILES = ["CCO", "C", "c1ccoc1"]


@pytest.mark.parametrize("folded", [False, True])
def test_the_view(small: MiniMol, folded: bool) -> None:
    network = fold_norms(small) if folded else small
    anatomy = describe(network)
    assert anatomy.traits == {"blocks", "ffn"} and anatomy.width == 40 and len(anatomy.blocks) == 2
    for block in anatomy.blocks:
        mlp = block.mlp
        assert mlp is not None and mlp.kind == "plain" and block.attention is None
        assert (mlp.width, mlp.hidden) == ((25, 24) if folded else (24, 24))
        assert len(block.linears) == 5 and len(block.norms) == (2 if folded else 3)
    for site in anatomy.sites():
        assert network.get_submodule(site.path) is site.get()


@torch.no_grad()
def test_what_goes_leaves_the_rest_as_it_is(small: MiniMol) -> None:
    graphs = Batch.from_data_list(minimol_graphs(SMILES))
    state, links = small.embed(graphs)
    whole = small(graphs)
    anatomy = describe(small)
    anatomy.blocks[1].remove_mlp()
    layer = small.layers[1]
    state = torch.randn(len(state) + 6, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(state, links)[: len(graphs.x)], state[: len(graphs.x)])
    assert describe(small).blocks[1].mlp is None
    describe(small).remove([1])
    assert len(small.layers) == 1 and not torch.allclose(small(graphs), whole, atol=1e-3)
    with pytest.raises(ModelError, match="at least one block"):
        describe(small).remove([0])


@pytest.mark.parametrize("config", [BottleneckConfig(r=4), LoRAConfig(r=4, targets=("linears",))])
def test_adapters_have_a_place_and_start_as_nothing(small: MiniMol, config: BottleneckConfig | LoRAConfig) -> None:
    graphs = Batch.from_data_list(minimol_graphs(SMILES))
    whole = small(graphs)
    attach(small, config)
    torch.testing.assert_close(small(graphs), whole, atol=1e-6, rtol=1e-5)
    small(graphs).square().sum().backward()
    trained = [name for name, weight in small.named_parameters() if weight.requires_grad]
    per_block = 4 if isinstance(config, BottleneckConfig) else 10
    assert len(trained) == 2 * per_block
    assert all(name.startswith("layers.") for name in trained)


@torch.no_grad()
def test_wanda_weighs_by_the_atoms_that_enter_each_map(small: MiniMol) -> None:
    """Each atom counts once: virtual nodes pass beside the MLPs, and the norm inside is between the two maps."""
    graphs = Batch.from_data_list(minimol_graphs(SMILES))
    dense = copy.deepcopy(small)
    squares: dict[str, torch.Tensor] = {}
    names = [f"layers.{place}.gine.mlp.{map_}" for place in (0, 1) for map_ in ("up", "down")]
    for name in names:

        def keep(_: torch.nn.Module, inputs: tuple[torch.Tensor], name: str = name) -> None:
            squares[name] = inputs[0].square().sum(0)

        dense.get_submodule(name).register_forward_pre_hook(keep)
    dense(graphs)
    report = prune(small, PruningConfig(method="wanda", parts=("ffn",), sequential=False), [graphs])
    assert [one.name for one in report.linears] == names
    assert {one.tokens for one in report.linears} == {graphs.num_nodes}
    for name in names:
        weight = dense.get_submodule(name).get_parameter("weight")
        score = weight.abs() * squares[name].sqrt()
        kept = score >= score.sort(dim=1).values[:, [score.shape[1] // 2]]
        assert torch.equal(small.get_submodule(name).get_parameter("weight"), weight.where(kept, 0.0)), name
