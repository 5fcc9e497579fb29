"""HEAPr: gradients and scores against slow references, the mask against narrower experts, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression import expert_drop
from sparsebench.models.compression.trimming.experts.atoms import atom_scores, mask_atoms, output_gradients
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.errors import ModelError

from ...quantisation.models import doubled, fingerprints
from ...slimming.mixtures import batches, calls_of, mixture, run

NAME = "mixtral"


def loss(model: nn.Module, batch: Any) -> Tensor:
    """A sum over real tokens that is not linear in the logits."""
    return run(model, batch).logits[batch["attention_mask"].bool()].logsumexp(-1).sum()


def slow_gradients(model: nn.Module, place: int) -> Tensor:
    """Each choice of each token gets a number to add to the expert's output, whose gradient is read (N, D, D)."""
    experts = mixtures_of(model)[place].experts
    assert experts.module is not None
    noted: list[tuple[Tensor, Tensor]] = []

    def shift(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        _, index, weight = args
        added = torch.zeros(*index.shape, output.shape[-1], dtype=output.dtype, requires_grad=True)
        noted.append((index, added))
        return output + (weight.detach().unsqueeze(-1) * added).sum(1).view_as(output)

    hook = experts.module.get().register_forward_hook(shift)
    for batch in batches(NAME):
        loss(model, batch).backward()
    hook.remove()
    found = torch.zeros(4, 32, 32, dtype=torch.float64)
    for index, added in noted:
        assert added.grad is not None
        for token, slot in ((t, k) for t in range(len(index)) for k in range(index.shape[1])):
            g_D = added.grad[token, slot]
            found[index[token, slot]] += torch.outer(g_D, g_D)
    return found


def test_gradients_are_those_of_each_experts_own_output() -> None:
    model = doubled(NAME)[0]
    found = output_gradients(model, batches(NAME), loss)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    for place in range(2):
        torch.testing.assert_close(found[place], slow_gradients(model, place), rtol=1e-9, atol=1e-12)


def test_the_score_is_what_the_second_order_says_of_the_neurons_part() -> None:
    model = doubled(NAME)[0]
    (one, *_), (seen, *_) = mixtures_of(model), mixture_statistics(model, batches(NAME), moments=True)
    gradients = output_gradients(model, batches(NAME), loss)[0]
    inputs = calls_of(one.experts, model, batches(NAME))
    expert = int(seen.counts.argmax())
    expected = 0.0
    tokens = 0
    for (x, index, _), batch in zip(inputs, batches(NAME), strict=True):
        for row in (index == expert).any(1).logical_and(batch["attention_mask"].bool().flatten()).nonzero().flatten():
            part_D = one.experts.hidden(expert, x[row])[3] * one.experts.weights(expert).down[:, 3]
            expected += 0.5 * (part_D @ gradients[expert] @ part_D).item() / seen.counts[expert].item()
            tokens += 1
    assert tokens == seen.counts[expert]
    assert atom_scores(one.experts, seen, gradients)[expert][3].item() == pytest.approx(expected, rel=1e-9)


def test_the_lowest_of_all_go_and_the_model_computes_without_them() -> None:
    model = doubled(NAME)[0]
    statistics = mixture_statistics(model, batches(NAME), moments=True)
    gradients = output_gradients(model, batches(NAME), loss)
    scores = [atom_scores(m.experts, s, g) for m, s, g in zip(mixtures_of(model), statistics, gradients, strict=True)]
    report = mask_atoms(model, statistics, gradients, keep=0.6)
    total = sum(sum(layer.kept) for layer in report)
    assert total == round(0.6 * 2 * 4 * 48)
    kept: list[float] = []
    gone: list[float] = []
    for one, layer, own in zip(mixtures_of(model), report, scores, strict=True):
        for expert, scores_F in enumerate(own):
            weights = one.experts.weights(expert)
            zero_F = (weights.down == 0).all(0)
            assert torch.equal(zero_F, (weights.up == 0).all(1)) and weights.gate is not None
            assert int((~zero_F).sum()) == layer.kept[expert]
            gone += scores_F[zero_F].tolist()
            kept += scores_F[~zero_F].tolist()
    assert max(gone) <= min(kept)
    x = torch.randn(5, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = mixtures_of(model)[0].experts.weights(0)
    left_F = (weights.down != 0).any(0)
    narrow = (nn.functional.silu(x @ weights.gate[left_F].T) * (x @ weights.up[left_F].T)) @ weights.down[:, left_F].T  # type: ignore[index]
    torch.testing.assert_close(mixtures_of(model)[0].experts.hidden(0, x) @ weights.down.T, narrow)


def test_what_cannot_be_leaves_the_model_as_it_was() -> None:
    model = mixture(NAME)
    gradients = output_gradients(model, batches(NAME), loss)
    plain = mixture_statistics(model, batches(NAME))
    before = fingerprints(model)
    with pytest.raises(ModelError, match="no moments of its neurons"):
        mask_atoms(model, plain, gradients, keep=0.5)
    with pytest.raises(ModelError, match=r"must lie in \(0, 1\]"):
        mask_atoms(model, plain, gradients, keep=0.0)
    assert fingerprints(model) == before
    expert_drop(model, plain, 3)
    with pytest.raises(ModelError, match="the statistics are of"):
        mask_atoms(model, plain, gradients, keep=0.5)
    with pytest.raises(ModelError, match="nothing to watch"):
        output_gradients(mixture("listed"), batches("listed"), lambda model, batch: model(batch).sum())
