"""What changes its mode together, and open masks that leave no trace."""

import pytest
import torch

from sparsebench.models.dynamic.partitioning.candidates import ModeCandidates, open_masks

from .toy import toy

SHAPE = torch.Size((2, 3, 2, 2))


@pytest.mark.parametrize(("granularity", "count"), [("weight", 24), ("row", 2), ("channel", 3)])
def test_every_candidate_is_a_slice_of_the_mask(granularity, count):
    candidates = ModeCandidates([SHAPE], granularity, torch.abs)
    assert candidates.sizes == candidates.left == [count]
    seen = torch.zeros(SHAPE, dtype=torch.long)
    for one in range(count):
        keep = torch.zeros(count, dtype=torch.bool)
        keep[one] = True
        (mask,) = candidates.masks([keep])
        assert torch.equal(candidates.kept_entries([keep])[0], mask.flatten())
        seen += mask
    assert seen.min() == seen.max() == 1, "disjoint and covering"


@pytest.mark.parametrize("granularity", ["weight", "row", "channel"])
def test_an_entry_of_a_vector_is_a_candidate_beside_any_of_weights(granularity):
    candidates = ModeCandidates([SHAPE, torch.Size((5,))], granularity, torch.abs)
    assert candidates.sizes[1] == 5
    keep = torch.tensor([True, False, False, True, False])
    _, mask = candidates.masks([torch.ones(candidates.sizes[0], dtype=torch.bool), keep])
    assert torch.equal(mask, keep)
    _, scores = candidates.scores([torch.ones(SHAPE), torch.tensor([1.0, -2.0, 0.0, 4.0, 5.0])])
    assert scores.tolist() == [1.0, 2.0, 0.0, 4.0, 5.0]


def test_effects_are_summed_before_their_magnitude_is_taken():
    effects = torch.tensor([[1.0, -1.0], [2.0, 3.0]])
    by_row = ModeCandidates([effects.shape], "row", torch.abs).scores([effects])
    by_channel = ModeCandidates([effects.shape], "channel", torch.abs).scores([effects])
    single = ModeCandidates([effects.shape], "weight", torch.abs).scores([effects])
    assert by_row[0].tolist() == [0.0, 5.0]
    assert by_channel[0].tolist() == [3.0, 2.0]
    assert single[0].tolist() == [1.0, 1.0, 2.0, 3.0]


def test_an_open_mask_is_what_the_layer_computes_with_until_it_is_closed():
    model = toy()
    layer = model[0]
    layer.set_partition()
    x = torch.randn(4, 5, dtype=torch.float64)
    before = layer(x)
    with pytest.raises(RuntimeError, match="stop"), open_masks([layer]) as masks:
        assert torch.equal(masks[0].stored, torch.ones(6, 5, dtype=torch.float64))
        with torch.no_grad():
            masks[0].stored[2:] = 0
        changed = layer(x)
        assert torch.equal(changed[:, :2], before[:, :2]) and not torch.equal(changed[:, 2:], before[:, 2:])
        raise RuntimeError("stop")
    assert torch.equal(layer(x), before)
