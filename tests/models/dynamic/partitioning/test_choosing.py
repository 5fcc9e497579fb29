"""Which candidates are ranked together, and the rounds in which they turn static."""

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.partitioning import choosing
from sparsebench.models.dynamic.partitioning.choosing import groups_of
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import dynamic_layers, find_parts
from sparsebench.models.sparsity.budgets import kept_after

from .toy import FACTORS, batches, image_batches, loss, od_toy, toy

DATA = {"batches": batches(), "loss_fn": loss}


def flat(model: nn.Module) -> Tensor:
    masks = [layer.partition.mask for layer in dynamic_layers(model).values()]
    return torch.cat([mask.flatten() for mask in masks])


def test_every_kind_has_a_ranking_of_its_own_and_a_share_of_its_own():
    kinds = find_parts(od_toy(), "both")
    sizes = [216, 18, *FACTORS.values()]
    kernels, attentions = groups_of(kinds, sizes, 0.3, "global")
    assert (list(kernels.parts), kernels.left, kernels.keep) == ([0, 1], 234, 70)
    assert (list(attentions.parts), attentions.left, attentions.keep) == ([2, 3, 4, 5, 6], 28, 8)
    local = groups_of(kinds, sizes, 0.3, "local")
    assert [list(group.parts) for group in local] == [[part] for part in range(7)]
    assert [group.keep for group in local] == [round(0.3 * size) for size in sizes]


@pytest.fixture
def seen_masks(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Tensor]]:
    """By the kind of what was scored: its masks in each round, as one row."""
    seen: dict[str, list[Tensor]] = {}
    score = choosing.entry_effects

    def watched(found, names):
        masks = torch.cat([mask.stored.detach().flatten() for mask in found.masks])
        seen.setdefault(type(found).__name__, []).append(masks)
        return score(found, names)

    monkeypatch.setattr(choosing, "entry_effects", watched)
    return seen


def test_rounds_follow_the_schedule_and_nest(seen_masks):
    """Invariant 13: after round t of T, kappa^(t/T) of the weights are dynamic, and none comes back."""
    model = toy()
    partition(model, 0.2, rounds=4, **DATA)
    seen = seen_masks["Partitionable"]
    counts = [int(stage.sum()) for stage in seen]
    assert counts == [kept_after(step, 4, 48, round(0.2 * 48), "exponential") for step in range(4)]
    for before, after in zip(seen, [*seen[1:], flat(model).double()], strict=True):
        assert bool((after <= before).all())


def test_kernels_and_attentions_shrink_in_the_same_rounds(seen_masks):
    partition(od_toy(), 0.2, of="both", rounds=3, batches=image_batches(), loss_fn=loss)
    for kind, total in (("Partitionable", 234), ("PartitionableAttentions", 28)):
        kept = [kept_after(step, 3, total, round(0.2 * total), "exponential") for step in range(3)]
        assert [int(masks.sum()) for masks in seen_masks[kind]] == kept
