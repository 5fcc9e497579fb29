"""Scales that move from readers to writers: the output stays (B10), and where it would not, that is noticed."""

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.by_block import BlockPass, by_block
from sparsebench.models.compression.quantisation.rounding.folding import (
    Factor,
    Fold,
    hidden_folds,
    norm_fold,
)
from sparsebench.models.compression.quantisation.rounding.scaling import block_output
from sparsebench.models.compression.quantisation.targets import targets_of

from ...slimming.mixtures import batches, mixture
from ..models import doubled, output


def first_step(model: nn.Module, name: str, block: int = 1) -> BlockPass:
    (step,) = by_block(model, batches(name), [block])
    return step


def mlp_fold(step: BlockPass) -> Fold:
    norms = step.block.mlp_norms
    assert norms
    return norm_fold(step.block, norms[0], lambda: block_output(step))


def scale(channels: int) -> Tensor:
    return torch.logspace(-0.5, 0.5, channels, dtype=torch.float64)


def test_a_fold_without_the_router_is_noticed() -> None:
    model = mixture("mixtral")
    step = first_step(model, "mixtral")
    fold = mlp_fold(step)
    router = model.model.layers[1].mlp.gate  # type: ignore[union-attr]
    without = Fold(fold.name, fold.writers, [factor for factor in fold.readers if factor.parent is not router])
    assert len(without.readers) == len(fold.readers) - 1
    assert without.changes(lambda: block_output(step)) and not fold.changes(lambda: block_output(step))


def test_a_trial_leaves_every_bit() -> None:
    model = mixture("qwen2_moe")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step = first_step(model, "qwen2_moe")
    mlp_fold(step).changes(lambda: block_output(step))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["mixtral", "deepseek_v3", "converted"])
def test_hidden_neurons_are_scaled_by_expert(name: str) -> None:
    model, data = doubled(name)
    before = output(model, data[0])
    targets = [target for target in targets_of(describe(model), ("experts",)) if target.block == 1]
    (fold,) = hidden_folds(describe(model).blocks[1], targets)
    (down,) = [target for target in targets if fold.reads(target)]
    scales = torch.stack([scale(fold.channels) * (1 + expert) for expert in range(len(down.matrices))])
    fold.apply(scales)
    torch.testing.assert_close(output(model, data[0]), before, atol=1e-6, rtol=1e-5)


def test_the_bounds_of_gpt_oss_leave_no_hidden_fold() -> None:
    model = mixture("gpt_oss")
    targets = [target for target in targets_of(describe(model), ("experts",)) if target.block == 1]
    assert list(hidden_folds(describe(model).blocks[1], targets)) == []


def test_a_scaled_copy_of_a_part_of_the_rows() -> None:
    module = nn.Linear(3, 4)
    old = module.weight.detach().clone()
    found = Factor(module, "weight", 0, first=2).times(torch.tensor([2.0, 4.0]))
    assert torch.equal(found[:2], old[:2]) and torch.equal(found[2], 2 * old[2]) and torch.equal(found[3], 4 * old[3])
    assert torch.equal(module.weight, old)
