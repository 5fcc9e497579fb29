from torch import nn

from sparsebench.models.anatomy.parts import MLP, Attention
from sparsebench.models.anatomy.sites import Site


class Spread(nn.Module):
    """An FFN whose linears and activation stand in the block itself, as in OPT."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 6)
        self.act = nn.ReLU()
        self.last = nn.Linear(6, 2)


def test_replace_fills_every_part_and_takes_all_back() -> None:
    block = Spread()
    first, act, last = (Site(block, name) for name in ("first", "act", "last"))
    mlp = MLP(site=first, output=last, kind="plain", width=2, hidden=6, up=first, down=last, between=act, tail=last)
    old = [site.get() for site in mlp.parts]
    assert old == [block.first, block.act, block.last] and mlp.linears == (first, last)
    whole = nn.Linear(2, 2)
    mlp.replace(whole)
    assert block.first is whole and isinstance(block.act, nn.Identity) and isinstance(block.last, nn.Identity)
    mlp.replace(*old)
    assert [block.first, block.act, block.last] == old


def test_the_order_of_linears() -> None:
    model = nn.Module()
    gate_up, down, q, o = (Site(model, name) for name in ("gate_up", "down", "q", "o"))
    mlp = MLP(site=down, output=down, kind="gated", width=1, hidden=1, gate_up=gate_up, down=down)
    assert mlp.linears == (gate_up, down)
    assert Attention(site=q, num_heads=1, num_kv_heads=1, head_dim=1, o=o, q=q).linears == (q, o)
