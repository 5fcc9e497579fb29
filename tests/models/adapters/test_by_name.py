"""Models of which no anatomy is known: adapters by the names of modules."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from sparsebench.models.adapters import (
    BottleneckConfig,
    CombinedConfig,
    LoRAConfig,
    attach,
    load_adapters,
    save_adapters,
    sparsify,
)
from sparsebench.models.adapters.by_name import ByNameConfig, attach_by_name
from sparsebench.models.adapters.kinds.ia3 import IA3Config
from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.errors import ModelError


class Unit(nn.Module):
    """An attention of torch and a pair of layers that no describer knows."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.wide = nn.Linear(8, 12)
        self.narrow = nn.Linear(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return x + self.narrow(self.wide(x).relu())


class Strange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Sequential(Unit(), Unit())
        self.scores = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.units(x).mean(1))


def strange() -> Strange:
    torch.manual_seed(0)
    return Strange().eval()


CONFIG = CombinedConfig(
    parts=(
        ByNameConfig(modules=("wide",), adapter=LoRAConfig(r=2)),
        IA3Config(modules=(r"1\.narrow",)),
        ByNameConfig(modules=("units", r"units\.\d"), adapter=BottleneckConfig(r=3), width=8, heads=("scores",)),
    )
)


def test_adapters_train_prune_save_and_go(shake: Callable, run: Callable, tmp_path: Path) -> None:
    model = strange()
    x = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(1))
    before = run(model, x)
    adapters = attach_by_name(model, CONFIG, "mine")
    assert torch.equal(run(model, x), before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in trained} == {
        "units",
        "scores",
    } and "units..wide.bias" not in trained
    shake(adapters)
    sparsify(adapters, method="magnitude", sparsity=0.5)
    model(x).square().mean().backward()
    assert all(parameter.grad is not None for parameter in adapters.parameters())
    save_adapters(adapters, tmp_path)
    again = strange()
    loaded = load_adapters(again, tmp_path)
    assert loaded.config == CONFIG and torch.equal(run(again, x), run(model, x))
    assert not torch.allclose(run(model, x), before, atol=1e-3)
    adapters.remove()
    assert torch.equal(run(model, x), before)
    with pytest.raises(UnknownAnatomy):
        describe(model)  # what was known for the while is gone


def test_where_an_anatomy_is_known_it_counts(build: Callable) -> None:
    config = ByNameConfig(modules=("q_proj",), adapter=LoRAConfig(r=2))
    by_name = attach_by_name(build("llama"), config)
    known = attach(build("llama"), config)
    assert by_name.state_dict().keys() == known.state_dict().keys() and by_name.count(head=True) > by_name.count()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LoRAConfig(r=2), "LoRAConfig needs to know its blocks: choose modules by name"),
        (
            ByNameConfig(modules=("out_proj",), adapter=BottleneckConfig(r=2), width=8),
            "reads its weight and never calls it",
        ),
        (ByNameConfig(modules=("wide",), adapter=LoRAConfig(r=2), heads=("score",)), "no module .* 'score' matches"),
        (IA3Config(modules=("wide",), heads=("units", r"units\.0")), "lie in one another"),
        (IA3Config(modules=("wide", "scores"), heads=("scores",)), "scores is a head"),
    ],
)
def test_what_cannot_act_is_refused_untouched(config, message: str) -> None:
    model = strange()
    before = [(name, type(module)) for name, module in model.named_modules()]
    with pytest.raises(ModelError, match=message):
        attach_by_name(model, config)
    assert [(name, type(module)) for name, module in model.named_modules()] == before
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_lora_acts_on_the_linear_layers_of_graph_networks() -> None:
    """torch_geometric's convolutions have a `Linear` of their own class."""
    model = GCNConv(3, 5).eval()
    nodes, edges = torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])
    before = model(nodes, edges)
    config = ByNameConfig(modules=("lin",), adapter=LoRAConfig(r=2))
    adapters = attach_by_name(model, config)
    assert torch.equal(model(nodes, edges), before)
    with torch.no_grad():
        for parameter in adapters.parameters():
            parameter.normal_()
    adapted = model(nodes, edges)
    assert not torch.allclose(adapted, before)
    adapters.merge()
    torch.testing.assert_close(model(nodes, edges), adapted)
    with pytest.raises(ModelError, match=r"once it knows its inputs"):
        attach_by_name(GCNConv(-1, 5), config)
