"""The divergence by blocks equals that of whole runs."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.conversion.allocation.suffix import SuffixDivergence
from sparsebench.models.moe.conversion.output_divergence import output_divergence

Build = Callable[[str], nn.Module]


def logits(model: nn.Module, ids: Tensor) -> Tensor:
    return model(ids).logits.flatten(0, 1)


@torch.no_grad()
def test_it_is_the_divergence_of_whole_runs(build: Build, example: Callable) -> None:
    model = build("llama")
    ids = example(model)
    batches = [{"input_ids": ids}, {"input_ids": ids.flip(1)[:1]}]
    changed = copy.deepcopy(model)
    changed.model.layers[0].mlp.up_proj.weight.mul_(3)  # type: ignore[union-attr]
    total = 0.0
    tokens = 0
    for batch in batches:
        rows = batch["input_ids"]
        total += rows.numel() * float(output_divergence(logits(model, rows), logits(changed, rows)))
        tokens += rows.numel()
    measure = SuffixDivergence(model, batches)
    assert measure.divergence(measure.start, 0) == pytest.approx(0, abs=1e-7)
    model.model.layers[0].mlp.up_proj.weight.mul_(3)  # type: ignore[union-attr]
    after = measure.through(measure.start, 0, 1)
    assert measure.divergence(after, 1) == pytest.approx(total / tokens, rel=1e-4)
    assert measure.divergence(measure.start, 0) == pytest.approx(total / tokens, rel=1e-4)


def test_padding_does_not_count(build: Build, example: Callable) -> None:
    model = build("llama")
    ids = example(model)
    mask = torch.ones_like(ids)
    mask[:, -1] = 0
    measure = SuffixDivergence(model, [{"input_ids": ids, "attention_mask": mask}])
    shifted = [hidden.clone() for hidden in measure.end]
    shifted[0][:, -1] += 1
    assert measure.divergence(shifted, len(measure.modules)) == pytest.approx(0, abs=1e-7)
    shifted[0][:, 0] += torch.arange(shifted[0].shape[-1])
    assert measure.divergence(shifted, len(measure.modules)) > 0


def test_blocks_that_do_not_hand_on_are_refused(build: Build, example: Callable) -> None:
    """As if something lay between two blocks."""
    model = build("llama")
    model.model.layers[1].register_forward_pre_hook(lambda module, args: (args[0] * 1, *args[1:]))  # type: ignore[union-attr]
    with pytest.raises(ModelError, match="does not hand the output"):
        SuffixDivergence(model, [example(model)])
