"""Every criterion against its definition, by finite differences or by loops over kernels and samples."""

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.partitioning.candidates import open_masks
from sparsebench.models.dynamic.partitioning.scores import EFFECTS, Partitionable, entry_effects, finish
from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.scoring import Evidence

from .toy import ToyDynamic, batches, by_differences, copies, loss, toy


def layers_of(model: nn.Module) -> list[ToyDynamic]:
    return [module for module in model.modules() if isinstance(module, ToyDynamic)]


def effects(model: nn.Module, criterion: str, ratio: float = 1.0, **changes) -> list[Tensor]:
    """With static weights of their own, and the first share of each mask dynamic."""
    layers = layers_of(model)
    for number, layer in enumerate(layers):
        generator = torch.Generator().manual_seed(20 + number)
        static = torch.randn(layer.weight_shape, generator=generator, dtype=torch.float64)
        mask = torch.zeros(layer.weight_shape, dtype=torch.bool)
        mask.view(-1)[: round(ratio * mask.numel())] = True
        layer.set_partition(mask=mask, static=static)
        layer.partition.phi.data.fill_(0.3)
    names = ["first", "second"][: len(layers)]
    given = {"model": model, "batches": batches(), "loss_fn": loss, "generator": torch.Generator().manual_seed(3)}
    with open_masks(layers) as masks:
        evidence = Evidence(**{**given, **changes})
        found = Partitionable(layers=layers, masks=masks, evidence=evidence, criterion=criterion)
        return [effect.detach() for effect in entry_effects(found, names)]


@pytest.mark.parametrize("ratio", [1.0, 0.4])
def test_switch_is_the_derivative_by_the_mask(ratio):
    """Invariant 11: dL/dM, and so g * (lambda_d D - lambda_s S)."""
    model = toy()
    found = effects(model, "switch", ratio)
    layers = layers_of(model)
    with open_masks(layers) as masks:
        for effect, mask in zip(found, masks, strict=True):
            torch.testing.assert_close(effect, by_differences(model, mask.stored), rtol=1e-6, atol=1e-8)


def test_switch_is_the_product_of_the_gradient_and_what_differs_between_the_modes():
    """The same by hand for one layer: sum over samples of g_b * (lambda_d D_b - lambda_s S)."""
    model = nn.Sequential(ToyDynamic(3, 6, 5, 0))
    (found,) = effects(model, "switch")
    (layer,) = layers_of(model)
    partition = layer.partition
    expected = torch.zeros(6, 5, dtype=torch.float64)
    for batch in batches():
        weight_BOI = layer.sample_weights(layer.mixing_coefficients(batch)).detach().requires_grad_()
        output_BO = (weight_BOI @ batch.unsqueeze(-1)).squeeze(-1)
        (slope_BOI,) = torch.autograd.grad((output_BO - 1).square().mean(), weight_BOI)
        dynamic_BOI = (layer.mixing_coefficients(batch) @ layer.bank.flatten(1)).view(-1, 6, 5)
        difference = partition.lambda_dynamic * dynamic_BOI - partition.lambda_static * partition.static
        expected += (slope_BOI * difference).sum(0).detach()
    torch.testing.assert_close(found, expected)


def test_switch_is_0_where_static_and_dynamic_weights_are_equal():
    model = copies(toy())
    layers = layers_of(model)
    for layer in layers:
        layer.set_partition()
    with open_masks(layers) as masks:
        evidence = Evidence(model=model, batches=batches(), loss_fn=loss)
        found = Partitionable(layers=layers, masks=masks, evidence=evidence, criterion="switch")
        for effect in entry_effects(found, ["first", "second"]):
            assert effect.abs().max() < 1e-12


def test_remove_is_the_change_of_the_loss_when_the_dynamic_entry_shrinks_to_nothing():
    model = toy()
    found = effects(model, "remove")
    for effect, layer in zip(found, layers_of(model), strict=True):
        slope = by_differences(model, layer.bank.data)
        torch.testing.assert_close(effect, (layer.bank.detach() * slope).sum(0), rtol=1e-5, atol=1e-8)


def test_magnitude_is_the_mean_over_kernels():
    model = toy()
    for effect, layer in zip(effects(model, "magnitude"), layers_of(model), strict=True):
        torch.testing.assert_close(effect, layer.bank.detach().abs().mean(0))


def test_grasp_is_half_the_change_of_the_gradient_norm():
    """w (H g), summed over kernels, is 1/2 d|g|^2 / dt when all kernels of an entry grow together."""
    model = nn.Sequential(ToyDynamic(3, 6, 5, 0))
    (found,) = effects(model, "grasp")
    (layer,) = layers_of(model)

    def norm() -> float:
        total = sum((loss(model, batch) for batch in batches()), torch.zeros((), dtype=torch.float64))
        (slope,) = torch.autograd.grad(total, layer.bank)
        return float(slope.square().sum())

    model.eval()
    step = 1e-5
    for row, column in ((0, 0), (3, 2), (5, 4)):
        kept = layer.bank.data[:, row, column].clone()
        layer.bank.data[:, row, column] = kept * (1 + step)
        above = norm()
        layer.bank.data[:, row, column] = kept * (1 - step)
        below = norm()
        layer.bank.data[:, row, column] = kept
        slope = (above - below) / (2 * step)
        assert float(found[row, column]) == pytest.approx(slope / 2 / layer.num_kernels, rel=1e-4)


def test_random_draws_from_the_generator():
    one, other = (effects(toy(), "random", generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    with pytest.raises(ModelError, match="needs a generator"):
        effects(toy(), "random", generator=None)


def test_inverted_turns_static_what_switch_keeps():
    effect = torch.tensor([-3.0, 1.0, 2.0])
    assert finish("switch")(effect).argsort().tolist() == finish("inverted")(effect).argsort(descending=True).tolist()
    assert EFFECTS["inverted"] is EFFECTS["switch"]
    assert torch.equal(finish("grasp")(effect), effect)


@pytest.mark.parametrize("criterion", ["switch", "remove", "grasp", "inverted"])
def test_criteria_that_look_at_data_say_what_is_missing(criterion):
    for changes, words in (
        ({"batches": None}, "needs batches"),
        ({"batches": []}, "got no batch"),
        ({"loss_fn": None}, "needs batches"),
    ):
        with pytest.raises(ModelError, match=words):
            effects(toy(), criterion, **changes)


def test_scores_that_are_not_finite_are_refused_with_their_layer():
    bad = batches()
    bad[0][0, 0] = float("nan")
    with pytest.raises(ModelError, match="scores of first by criterion='switch' are NaN"):
        effects(toy(), "switch", batches=bad)


def test_references_are_what_scores_are_differences_of():
    model = toy()
    layers = layers_of(model)
    given = effects(model, "remove")
    with open_masks(layers) as masks:
        evidence = Evidence(model=model, batches=batches(), loss_fn=loss)
        for criterion, expected in (("switch", given), ("inverted", given), ("magnitude", [torch.ones(1)])):
            found = Partitionable(layers=layers, masks=masks, evidence=evidence, criterion=criterion)
            for one, other in zip(found.references([torch.ones(1)]), expected, strict=True):
                torch.testing.assert_close(one, other)
