"""Which candidates are ranked together, and the rounds in which they turn static."""

import torch
from torch import Tensor, nn

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


def test_rounds_follow_the_schedule_and_nest(monkeypatch):
    """Invariant 13: after round t of T, kappa^(t/T) of the weights are dynamic, and none comes back."""
    import sparsebench.models.dynamic.partitioning.choosing as module

    seen: list[Tensor] = []
    score = module.entry_effects

    def watched(found, names):
        seen.append(torch.cat([mask.stored.detach().flatten() for mask in found.masks]).clone())
        return score(found, names)

    monkeypatch.setattr(module, "entry_effects", watched)
    model = toy()
    partition(model, 0.2, rounds=4, **DATA)
    counts = [int(stage.sum()) for stage in seen]
    assert counts == [kept_after(step, 4, 48, round(0.2 * 48), "exponential") for step in range(4)]
    for before, after in zip(seen, [*seen[1:], flat(model).double()], strict=True):
        assert bool((after <= before).all())


def test_kernels_and_attentions_shrink_in_the_same_rounds(monkeypatch):
    import sparsebench.models.dynamic.partitioning.choosing as module

    seen: dict[str, list[int]] = {}
    score = module.entry_effects

    def watched(found, names):
        left = sum(int(mask.stored.sum()) for mask in found.masks)
        seen.setdefault(type(found).__name__, []).append(left)
        return score(found, names)

    monkeypatch.setattr(module, "entry_effects", watched)
    partition(od_toy(), 0.2, of="both", rounds=3, batches=image_batches(), loss_fn=loss)
    for kind, total in (("Partitionable", 234), ("PartitionableAttentions", 28)):
        kept = [kept_after(step, 3, total, round(0.2 * total), "exponential") for step in range(3)]
        assert seen[kind] == kept
