"""Every criterion on factors of attentions against its definition, by finite differences or by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.convolution.attention_vector import AttentionVector
from sparsebench.models.dynamic.partitioning.attention_scores import (
    PartitionableAttentions,
)
from sparsebench.models.dynamic.partitioning.candidates import open_masks
from sparsebench.models.dynamic.partitioning.parts import attention_vectors
from sparsebench.models.dynamic.partitioning.scores import Criterion, entry_effects
from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.scoring import Evidence

from .toy import by_differences, image_batches, loss, od_toy


def vectors_of(model: nn.Module, ratio: float = 1.0) -> list[AttentionVector]:
    """With constants of their own, and the first share of each mask dynamic."""
    vectors = list(attention_vectors(model).values())
    for number, vector in enumerate(vectors):
        static = torch.rand(vector.weight_shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
        mask = torch.arange(len(static)) < round(ratio * len(static))
        vector.set_partition(mask=mask, static=static)
        assert vector.partition is not None
        vector.partition.phi.data.fill_(0.3)
    return vectors


def with_effects(
    model: nn.Module, criterion: Criterion, look: Callable[[PartitionableAttentions, list[Tensor]], None], **changes
) -> None:
    """Call `look` with what was scored and the effects, while the masks are open."""
    ratio = changes.pop("ratio", 1.0)
    vectors = vectors_of(model, ratio)
    given = {"batches": image_batches(), "loss_fn": loss, "generator": torch.Generator().manual_seed(3)}
    evidence = Evidence(model=model, **{**given, **changes})
    with open_masks(vectors) as masks:
        found = PartitionableAttentions(vectors=vectors, masks=masks, evidence=evidence, criterion=criterion)
        look(found, entry_effects(found, [str(number) for number in range(len(vectors))]))


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_switch_is_the_derivative_by_the_mask(ratio):
    model = od_toy()

    def look(found, effects):
        for effect, mask in zip(effects, found.masks, strict=True):
            torch.testing.assert_close(
                effect, by_differences(model, mask.stored, image_batches()), rtol=1e-6, atol=1e-8
            )
            assert effect.abs().min() > 0

    with_effects(model, "switch", look, ratio=ratio)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_remove_is_the_change_of_the_loss_when_the_factor_shrinks_to_nothing(ratio):
    model = od_toy()

    def look(found, effects):
        for vector, effect, mask in zip(found.vectors, effects, found.masks, strict=True):
            share = torch.ones_like(mask.stored).detach()
            dynamic = vector.dynamic
            vector.dynamic = lambda h, t, dynamic=dynamic, share=share: share * dynamic(h, t)
            torch.testing.assert_close(effect, by_differences(model, share, image_batches()), rtol=1e-6, atol=1e-8)
            del vector.dynamic
            assert not vector._forward_hooks

    with_effects(model, "remove", look, ratio=ratio)


def test_magnitude_looks_at_the_row_of_a_factor():
    def look_magnitude(found, effects):
        for vector, effect in zip(found.vectors, effects, strict=True):
            torch.testing.assert_close(effect, vector.fc.weight.detach().abs().mean(1))

    with_effects(od_toy(), "magnitude", look_magnitude, batches=None)


def test_grasp_is_half_the_change_of_the_gradient_norm():
    """The mean of w (H g) over a row is 1/2 d|g|^2 / dt over R when the row grows; g of what is dynamic."""
    model = od_toy()

    def look(found, effects):
        weights = found.weights

        def norm() -> float:
            total = sum((loss(model, batch) for batch in image_batches()), torch.zeros((), dtype=torch.float64))
            slopes = torch.autograd.grad(total, weights)
            return sum(float(slope.square().sum()) for slope in slopes)

        step = 1e-5
        model.eval()
        for place, row in ((0, 1), (2, 4), (4, 0)):
            weight = weights[place].data
            kept = weight[row].clone()
            weight[row] = kept * (1 + step)
            above = norm()
            weight[row] = kept * (1 - step)
            below = norm()
            weight[row] = kept
            slope = (above - below) / (2 * step)
            assert float(effects[place][row].detach()) == pytest.approx(slope / 2 / weight.shape[1], rel=1e-3)

    with_effects(model, "grasp", look)


@pytest.mark.parametrize("criterion", ["switch", "remove", "grasp", "inverted"])
def test_criteria_that_look_at_data_say_what_is_missing(criterion):
    for changes in ({"batches": None}, {"loss_fn": None}):
        with pytest.raises(ModelError, match="needs batches"):
            with_effects(od_toy(), criterion, lambda _, effects: None, **changes)


def test_references_are_what_scores_are_differences_of():
    def look(found, effects):
        for reference, effect in zip(found.references(effects), effects, strict=True):
            assert reference.shape == effect.shape and reference.abs().max() > 0

    for criterion in ("switch", "inverted", "magnitude"):
        with_effects(od_toy(), criterion, look)
