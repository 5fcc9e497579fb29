"""Both granularities against slow loops over a layer of each kind, dense and pruned."""

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.sparsity.bottleneck_units import Pair
from sparsebench.models.sparsity.granularity import BottleneckUnits, SingleWeights
from sparsebench.models.sparsity.masked import Masked, MaskedConv2d, MaskedLinear


def pairs(*, pruned: bool) -> list[Pair]:
    """A pair of linear layers with 3 units and one of convolutions with 2; half of the entries gone if `pruned`."""
    found = []
    for name, down, up in (
        ("linear", MaskedLinear(4, 3), MaskedLinear(3, 5)),
        ("conv", MaskedConv2d(2, 2, 3), MaskedConv2d(2, 4, 1)),
    ):
        for number, layer in enumerate((down, up)):
            generator = torch.Generator().manual_seed(number)
            layer.stored.data.normal_(generator=generator)
            if pruned:
                layer.prune(torch.rand(layer.shape, generator=generator) < 0.5)
        found.append(Pair(name=name, owner=nn.Sequential(down, up), down=down, up=up))
    return found


def layers_of(found: list[Pair]) -> list[Masked]:
    return [layer for pair in found for layer in (pair.down, pair.up)]


def scores_of(layers: list[Masked]) -> list[Tensor]:
    return [torch.arange(layer.stored.numel(), dtype=torch.float32).view_as(layer.stored) for layer in layers]


@pytest.mark.parametrize("pruned", [False, True])
def test_single_weights(pruned: bool) -> None:
    layers = layers_of(pairs(pruned=pruned))
    candidates = SingleWeights(layers)
    assert candidates.sizes == [12, 15, 36, 8] and candidates.left == [layer.stored.numel() for layer in layers]
    assert (candidates.sizes == candidates.left) != pruned
    scores = candidates.scores(scores_of(layers))
    assert [row.tolist() for row in scores] == [list(range(left)) for left in candidates.left]
    keep = [torch.arange(left) % 3 == 0 for left in candidates.left]
    assert all(torch.equal(a, b) for a, b in zip(candidates.kept_entries(keep), keep, strict=True))
    before = [layer.stored.detach().flatten() for layer in layers]
    candidates.apply(keep)
    for layer, values, kept in zip(layers, before, keep, strict=True):
        assert torch.equal(layer.stored.detach(), values[kept])


@pytest.mark.parametrize("pruned", [False, True])
def test_unit_scores_are_sums_over_rows_and_columns(pruned: bool) -> None:
    found = pairs(pruned=pruned)
    layers = layers_of(found)
    candidates = BottleneckUnits(layers, found)
    assert candidates.sizes == candidates.left == [3, 2]
    given = scores_of(layers)
    dense = {id(layer): layer.spread(score) for layer, score in zip(layers, given, strict=True)}
    for pair, scores in zip(found, candidates.scores(given), strict=True):
        assert scores.dtype == torch.float64
        for unit, score in enumerate(scores.tolist()):
            assert score == float(dense[id(pair.down)][unit].sum() + dense[id(pair.up)][:, unit].sum())


@pytest.mark.parametrize("pruned", [False, True])
def test_entries_of_a_unit_stay_or_go_together(pruned: bool) -> None:
    found = pairs(pruned=pruned)
    layers = layers_of(found)
    keep = [torch.tensor([True, False, True]), torch.tensor([False, True])]
    entries = BottleneckUnits(layers, found).kept_entries(keep)
    for number, (layer, kept) in enumerate(zip(layers, entries, strict=True)):
        unit_dim = number % 2
        of_units = keep[number // 2].tolist()
        places = layer.mask.nonzero()  # in the order of the stored entries
        assert kept.tolist() == [of_units[int(place[unit_dim])] for place in places]


def test_apply_makes_layers_narrower() -> None:
    found = pairs(pruned=False)
    row = found[0].down.stored.detach()[2].clone()
    BottleneckUnits(layers_of(found), found).apply([torch.tensor([False, False, True]), torch.tensor([True, True])])
    assert found[0].down.shape == (1, 4) and found[0].up.shape == (5, 1) and found[1].units == 2
    assert torch.equal(found[0].down.stored.detach()[0], row)


def test_a_pair_without_weights_is_no_candidate() -> None:
    found = pairs(pruned=False)
    for layer in (found[0].down, found[0].up):
        layer.prune(torch.zeros(layer.shape))
    layers = layers_of(found)
    candidates = BottleneckUnits(layers, found)
    assert candidates.sizes == [2]
    assert len(candidates.scores(scores_of(layers))) == 1
    entries = candidates.kept_entries([torch.tensor([True, False])])
    assert [len(kept) for kept in entries] == [0, 0, 36, 8]
