import pytest
import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.bottleneck_units import (
    Pair,
    dead_units,
    keep_units,
    pair_of,
    remove_dead,
    silent_units,
    unit_sums,
    unread_units,
)
from sparsebench.models.sparsity.masked import MaskedConv2d, MaskedLinear


def linear_pair(width: int = 3, units: int = 4, *, bias: bool = True) -> Pair:
    down, up = MaskedLinear(width, units, bias=bias), MaskedLinear(units, width, bias=bias)
    return filled(Pair(name="pair", owner=nn.Sequential(down, nn.Tanh(), up), down=down, up=up, activation=torch.tanh))


def filled(pair: Pair) -> Pair:
    for number, parameter in enumerate(pair.owner.parameters()):
        parameter.data.normal_(generator=torch.Generator().manual_seed(number))
    return pair


def empty(pair: Pair, rows: list[int], columns: list[int]) -> None:
    down, up = pair.down.mask, pair.up.mask
    down[rows] = False
    up[:, columns] = False
    pair.down.prune(down)
    pair.up.prune(up)


def test_sums_over_all_but_the_units() -> None:
    values = torch.arange(24.0).view(2, 3, 2, 2)
    assert unit_sums(values, 0).tolist() == [values[0].sum(), values[1].sum()]
    assert unit_sums(values, 1).tolist() == [values[:, i].sum() for i in range(3)]


def test_dead_units_are_unread_or_silent() -> None:
    pair = linear_pair()
    empty(pair, rows=[0, 2], columns=[2, 3])
    assert unread_units(pair).tolist() == [True, False, True, False]
    assert silent_units(pair).tolist() == [False, False, True, True]
    assert dead_units(pair).tolist() == [True, False, True, True]


def test_pair_of_a_layer() -> None:
    one, two = linear_pair(), linear_pair()
    assert pair_of(two.down, [one, two]) == (two, 0) and pair_of(two.up, [one, two]) == (two, 1)
    for pairs, count in (([one], 0), ([two, two], 2)):
        with pytest.raises(ModelError, match=f"is in {count} pairs of `down` and `up`"):
            pair_of(two.up, pairs)
    twice = Pair(name="loop", owner=nn.Identity(), down=one.down, up=one.down)
    with pytest.raises(ModelError, match="is in 2 pairs"):
        pair_of(one.down, [twice])


def test_kept_units_give_what_they_gave() -> None:
    pair = linear_pair()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(9))
    keep = torch.tensor([True, False, True, False])
    hidden = torch.tanh(pair.down(x)) * keep
    expected = pair.up(hidden)
    keep_units(pair, keep)
    assert (pair.units, pair.down.out_features, pair.up.in_features) == (2, 2, 2)
    torch.testing.assert_close(pair.owner(x), expected)


def test_without_any_unit_one_stays_without_weights() -> None:
    pair = linear_pair()
    keep_units(pair, torch.zeros(4, dtype=torch.bool))
    assert pair.units == 1 and pair.down.stored.numel() == pair.up.stored.numel() == 0
    x = torch.ones(2, 3)
    torch.testing.assert_close(pair.owner(x), pair.up.bias.expand(2, 3))


@pytest.mark.parametrize("bias", [False, True])
def test_removing_dead_units_changes_nothing(bias: bool) -> None:
    """Unit 0 puts out a constant, 2 and 3 nothing; without biases the constant is tanh(0) = 0."""
    pair = linear_pair(bias=bias)
    empty(pair, rows=[0, 2], columns=[2, 3])
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(9))
    before = pair.owner(x)
    assert remove_dead(pair) == 3 and pair.units == 1
    torch.testing.assert_close(pair.owner(x), before)
    assert remove_dead(pair) == 0


def test_a_padded_kernel_cannot_give_its_constant_to_a_bias() -> None:
    """At the border a 3x3 kernel sees zeros, so a constant channel does not act as a constant."""
    down, up = MaskedConv2d(2, 3, 1), MaskedConv2d(3, 2, 3, padding=1)
    pair = filled(Pair(name="conv", owner=nn.Sequential(down, up), down=down, up=up))
    empty(pair, rows=[0, 1], columns=[1])
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(9))
    before = pair.owner(x)
    assert remove_dead(pair) == 1, "the silent one only"
    torch.testing.assert_close(pair.owner(x), before)
