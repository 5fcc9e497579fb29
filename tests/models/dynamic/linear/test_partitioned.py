"""Static work once a token is the masked computation of each expert, whatever the form of the mask (invariant 12)."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.dynamic.linear.partitioned import partitioned_linear, static_once
from sparsebench.models.dynamic.mode_partition import ModePartition, Scale

# Shapes: T tokens, I inputs, O outputs, E experts, K chosen experts.
TOKENS, INPUTS, OUTPUTS, EXPERTS, TOP_K = 23, 6, 10, 4, 2
FORMS = ("row", "channel", "weight", "dynamic", "static")
SCALES: tuple[Scale, ...] = ("both", "static", "dynamic", "none", "pruned")


def mask_of(form: str) -> Tensor:
    mask = torch.zeros(OUTPUTS, INPUTS, dtype=torch.bool)
    if form == "row":
        mask[[1, 4, 5]] = True
    elif form == "channel":
        mask[:, [0, 3]] = True
    elif form == "weight":
        mask = torch.rand(OUTPUTS, INPUTS, generator=torch.Generator().manual_seed(3)) < 0.4
    elif form == "dynamic":
        mask[:] = True
    return mask


def case(form: str, scale: Scale) -> tuple[Tensor, Tensor, Tensor, Tensor, ModePartition]:
    generator = torch.Generator().manual_seed(0)
    x_TI = torch.randn(TOKENS, INPUTS, generator=generator, dtype=torch.float64)
    index_TK = torch.rand(TOKENS, EXPERTS, generator=generator).topk(TOP_K, dim=-1).indices
    weight_TK = torch.randn(TOKENS, TOP_K, generator=generator, dtype=torch.float64).softmax(-1)
    bank_EOI = torch.randn(EXPERTS, OUTPUTS, INPUTS, generator=generator, dtype=torch.float64)
    static_OI = torch.randn(OUTPUTS, INPUTS, generator=generator, dtype=torch.float64)
    partition = ModePartition(mask_of(form), static_OI, scale)
    partition.phi.data.fill_(0.7)
    return x_TI, index_TK, weight_TK, bank_EOI, partition


def reference(x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, bank_EOI: Tensor, partition: ModePartition) -> Tensor:
    """Each expert with its masked weight and the static one, for every token in turn."""
    dynamic, static = 1.0, 1.0
    if partition.scale in ("both", "dynamic"):
        dynamic = 2 * torch.sigmoid(partition.phi)
    if partition.scale in ("both", "static"):
        static = 2 - 2 * torch.sigmoid(partition.phi)
    if partition.scale == "pruned":
        static = 0.0
    mask = partition.mask.double()
    rows = []
    for token, x_I in enumerate(x_TI):
        row_O = torch.zeros(OUTPUTS, dtype=torch.float64)
        for expert, weight in zip(index_TK[token], weight_TK[token], strict=True):
            used_OI = dynamic * mask * bank_EOI[expert] + static * (1 - mask) * partition.static
            row_O = row_O + weight * (used_OI @ x_I)
        rows.append(row_O)
    return torch.stack(rows)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("form", FORMS)
def test_static_once_is_the_masked_computation_of_each_expert(form: str, scale: Scale) -> None:
    x, index, weight, bank, partition = case(form, scale)
    assert partition.layout().structure == form
    expected = reference(x, index, weight, bank, partition)
    torch.testing.assert_close(partitioned_linear(x, index, weight, bank, partition), expected)
    torch.testing.assert_close(static_once(x, index, weight, bank, partition), expected)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("form", FORMS[:4])
def test_gradients_are_those_of_the_masked_computation(form: str, scale: Scale) -> None:
    """By weights that sum to 1 however they are moved: the softmax lies in both."""
    x, index, weight, bank, partition = case(form, scale)
    logits = weight.log().detach().requires_grad_()
    leaves = [x.requires_grad_(), logits, bank.requires_grad_(), *partition.parameters()]
    upstream = torch.randn(TOKENS, OUTPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = partitioned_linear(x, index, logits.softmax(-1), bank, partition)
    expected = reference(x, index, logits.softmax(-1), bank, partition)
    settings = {"allow_unused": True, "materialize_grads": True}
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    torch.testing.assert_close(
        torch.autograd.grad(found, wanted, upstream, **settings),
        torch.autograd.grad(expected, wanted, upstream, **settings),
    )


def test_one_partition_serves_a_mask_that_changes() -> None:
    x, index, weight, bank, partition = case("row", "both")
    partitioned_linear(x, index, weight, bank, partition)
    partition.set_mask(mask_of("channel"))
    expected = reference(x, index, weight, bank, partition)
    torch.testing.assert_close(partitioned_linear(x, index, weight, bank, partition), expected)


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_of_the_mask_is_the_switch_score(form: str) -> None:
    """dL/dM = g (lambda_d D - lambda_s S) summed over experts and tokens (invariant 11), by finite differences."""
    x, index, weight, bank, partition = case(form, "both")
    with partition.relaxed() as mask:
        loss = partitioned_linear(x, index, weight, bank, partition).square().sum()
        (score,) = torch.autograd.grad(loss, mask)
        for row, column in ((0, 0), (1, 3), (7, 5)):
            losses = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    mask[row, column] += step
                    losses.append(partitioned_linear(x, index, weight, bank, partition).square().sum().item())
                    mask[row, column] -= step
            slope = (losses[0] - losses[1]) / 2e-5
            assert score[row, column].item() == pytest.approx(slope, rel=1e-6, abs=1e-6)
