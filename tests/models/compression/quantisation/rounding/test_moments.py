"""Moments of what matrices read, against a count by hand."""

import torch
from torch import Tensor

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.by_block import by_block
from sparsebench.models.compression.quantisation.rounding.moments import Moments, moments_of
from sparsebench.models.compression.quantisation.targets import targets_of

from ..models import doubled


def test_sums_and_divided_sums() -> None:
    rows = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moments = Moments(5, rows)
    moments.add(rows[:3])
    moments.add(rows[3:])
    torch.testing.assert_close(moments.second, rows.T @ rows)
    torch.testing.assert_close(moments.magnitude, rows.abs().sum(0))
    scale = torch.tensor([1.0, 2, 4, 0.5, 3], dtype=torch.float64)
    again = Moments(5, rows)
    again.add(rows / scale)
    divided = moments.divided(scale)
    torch.testing.assert_close(divided.second, again.second)
    torch.testing.assert_close(divided.magnitude, again.magnitude)
    assert divided.count == 7


def test_narrow_rows_count_as_zeros_behind_their_end() -> None:
    moments = Moments(4, torch.zeros(1))
    moments.add(torch.ones(2, 3))
    assert moments.magnitude.tolist() == [2, 2, 2, 0] and moments.second[3].tolist() == [0] * 4


@torch.no_grad()
def test_of_an_expert_only_the_real_tokens_that_chose_it_count() -> None:
    model, data = doubled("mixtral")
    layer = model.model.layers[0]
    calls: list[tuple[Tensor, Tensor]] = []
    hook = layer.mlp.experts.register_forward_pre_hook(lambda module, args: calls.append((args[0], args[1])))
    for batch in data:
        model(**batch)
    hook.remove()
    targets = [target for target in targets_of(describe(model), ("experts",)) if target.block == 0]
    (step,) = by_block(model, data, [0])
    inward, down = moments_of(step, targets)
    for expert in range(4):
        rows = []
        for (x, index), batch in zip(calls, data, strict=True):
            rows.append(x[(index == expert).any(1) & batch["attention_mask"].flatten().bool()])
        mine = torch.cat(rows)
        assert inward[expert].count == down[expert].count == len(mine)
        torch.testing.assert_close(inward[expert].second, mine.T @ mine)
        gate, up = (mine @ layer.mlp.experts.gate_up_proj[expert].T).chunk(2, dim=1)
        hidden = torch.nn.functional.silu(gate) * up
        torch.testing.assert_close(down[expert].second, hidden.T @ hidden)
        torch.testing.assert_close(down[expert].magnitude, hidden.abs().sum(0))
