"""Stick-breaking attention against loops over queries, keys and experts."""

import torch
from torch import Tensor

from sparsebench.models.molm.attention import StickBreakingAttention, break_stick, by_expert

from .small_molm import sizes


def slow_stick(q: Tensor, k: Tensor, v: Tensor, see: Tensor) -> Tensor:
    """One query (d,) over keys and values (L, d): from the last key back, each takes its part of what is left."""
    left = 1.0
    out = torch.zeros_like(v[0])
    for key, value, seen in zip(k.flip(0), v.flip(0), see.flip(0), strict=True):
        if seen:
            part = float(torch.sigmoid(q @ key / len(q) ** 0.5))
            out = out + left * part * value
            left *= 1 - part
    return out


def test_breaks_a_stick() -> None:
    torch.manual_seed(0)
    rows, new, per_token, heads, length, size = 2, 3, 2, 2, 5, 4
    q = torch.randn(rows, new, per_token, heads, size)
    k = 2 * torch.randn(rows, heads, length, size)
    v = torch.randn(rows, heads, length, size)
    see = torch.ones(rows, new, length, dtype=torch.bool).tril(length - new)
    see[1, :, 2] = False
    see[0, 1] = False
    found = break_stick(q, k, v, see[:, None])
    for b, t, e, h in torch.cartesian_prod(*map(torch.arange, (rows, new, per_token, heads))).tolist():
        expected = slow_stick(q[b, t, e, h], k[b, h], v[b, h], see[b, t])
        torch.testing.assert_close(found[b, t, e, h], expected, msg=f"{b} {t} {e} {h}")
    assert not found[0, 1].any()


def test_certain_keys_leave_nothing() -> None:
    """Products far outside the range of the exponential: the last key takes all, or nothing."""
    q = torch.full((1, 1, 1, 1, 1), 1e3)
    v = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1)
    see = torch.ones(1, 1, 1, 3, dtype=torch.bool)
    for k, expected in (([1.0, 1.0, 1.0], 3.0), ([1.0, 1.0, -1.0], 2.0), ([-1.0, -1.0, -1.0], 0.0)):
        assert break_stick(q, torch.tensor(k).view(1, 1, 3, 1), v, see).item() == expected


def test_rows_by_expert() -> None:
    torch.manual_seed(0)
    rows, weights = torch.randn(4, 3), torch.randn(3, 5, 3)
    found = by_expert(rows, [1, 0, 3], weights)
    expected = torch.stack([weights[0] @ rows[0], *(weights[2] @ row for row in rows[1:])])
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_layer_is_the_weighted_sum_of_its_experts() -> None:
    torch.manual_seed(0)
    layer = StickBreakingAttention(sizes(), 0).eval()
    for value in layer.parameters():
        value.normal_(std=0.5)
    x = torch.randn(2, 4, 12)
    see = torch.ones(1, 4, 4, dtype=torch.bool).tril()
    found, routing = layer(x, see[:, None], None)
    index, weight = (part.view(2, 4, 2) for part in (routing.index, routing.weight))
    for b, t in torch.cartesian_prod(torch.arange(2), torch.arange(4)).tolist():
        keys, values = (each(x[b]).view(4, 2, 4) for each in (layer.k_proj, layer.v_proj))
        expected = torch.zeros(12)
        for expert, probability in zip(index[b, t].tolist(), weight[b, t], strict=True):
            q = (layer.query[expert] @ x[b, t]).view(2, 4)
            mixed = torch.cat([slow_stick(q[h], keys[:, h], values[:, h], see[0, t]) for h in range(2)])
            expected = expected + probability * (layer.out[expert] @ mixed)
        torch.testing.assert_close(found[b, t], expected)


def test_one_head_as_wide_as_the_model_has_no_projections() -> None:
    config = sizes(num_attention_heads=1, attention_size=12)
    names = {name for name, _ in StickBreakingAttention(config, 0).named_parameters()}
    assert not any("proj" in name for name in names)
