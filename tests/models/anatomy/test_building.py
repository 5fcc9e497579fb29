"""Blocks by the names of their modules."""

from types import SimpleNamespace

import pytest
from torch import nn

from sparsebench.models.anatomy import MLP, Attention, Site
from sparsebench.models.anatomy.building import attention_at, block_at, blocks_of, mlp_at, staged_blocks


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(heads=4, groups=2)
        self.head_dim = 3
        for name, rows in (("q_proj", 12), ("k_proj", 6), ("v_proj", 6), ("o_proj", 8)):
            setattr(self, name, nn.Linear(8, rows))


class Forwarding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.gate, self.narrow, self.act = nn.Linear(8, 20), nn.Linear(8, 20), nn.Linear(20, 8), nn.ReLU()


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn, self.ffn, self.first, self.second = Attending(), Forwarding(), nn.LayerNorm(8), nn.LayerNorm(8)


class StandIn(nn.Module):
    def describe_attention(self, site: Site) -> Attention:
        return Attention(site=site, num_heads=1, num_kv_heads=1, head_dim=8)

    def describe_mlp(self, site: Site, output: Site, tail: Site | None) -> MLP:
        return MLP(site=site, output=output, tail=tail, kind="moe", width=8, hidden=5)


def test_numbers_and_sites() -> None:
    layer = Layer()
    attention = attention_at(layer, "attn", heads="config.heads", kv_heads="config.groups", causal=True)
    assert (attention.num_heads, attention.num_kv_heads, attention.head_dim) == (4, 2, 3)
    assert [site.name for site in attention.linears] == ["q_proj", "k_proj", "v_proj", "o_proj"] and attention.causal
    assert attention_at(layer, "attn", {"o": "o_proj"}, heads="config.heads").num_kv_heads == 4


@pytest.mark.parametrize(("gate", "kind"), [({}, "plain"), ({"gate": "gate"}, "gated"), ({"gate_up": "gate"}, "gated")])
def test_an_ffn_with_a_gate_is_gated(gate: dict[str, str], kind: str) -> None:
    layer = Layer()
    mlp = mlp_at(layer, "ffn", {**gate, "up": "wide", "down": "narrow"}, "act")
    assert (mlp.kind, mlp.width, mlp.hidden) == (kind, 8, 20)
    assert mlp.activation is layer.ffn.act


def test_what_stands_in_a_parts_place_describes_itself() -> None:
    layer = Layer()
    layer.attn = layer.ffn = StandIn()
    assert attention_at(layer, "attn").head_dim == 8
    assert mlp_at(layer, "ffn", {"up": "wide", "down": "narrow"}, "act").hidden == 5


def test_blocks_have_their_parts_norms_and_gates() -> None:
    def build(site: Site, index: int):
        layer = site.get()
        attention = attention_at(layer, "attn", {"o": "o_proj"}, heads="config.heads")
        mlp = mlp_at(layer, "ffn", {"up": "wide", "down": "narrow"}, "act")
        gates = (Site(layer.ffn, "gate"),)
        return block_at(site, index, attention, mlp, ("first", "second"), gates=gates, post_norm=True)

    layers = nn.ModuleList([Layer(), Layer()])
    block = blocks_of(layers, build)[1]
    assert [site.name for site in block.linears] == ["o_proj", "gate", "wide", "narrow"]
    assert block.norms[1].get() is layers[1].second and block.post_norm and block.index == 1
    stages = [SimpleNamespace(blocks=layers), SimpleNamespace(blocks=layers)]
    assert [block.index for block in staged_blocks(stages, build)] == [0, 1, 2, 3]
