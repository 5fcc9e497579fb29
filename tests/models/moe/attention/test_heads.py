import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.attention.heads import Rope, attend
from sparsebench.models.moe.attention.keys_values import Seen


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rotation_equals_that_of_transformers() -> None:
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    angle = torch.rand(1, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).repeat(1, 1, 2)
    q = draw(2, 3, 5, 8)  # batch, heads, length, head size
    expected, _ = apply_rotary_pos_emb(q, q, angle.cos(), angle.sin())
    rope = Rope.of((angle.cos(), angle.sin()), batch=2)
    assert rope.cos.shape == (10, 8)
    rotated = rope.rotate(q.transpose(1, 2).flatten(0, 1))
    torch.testing.assert_close(rotated.view(2, 5, 3, 8).transpose(1, 2), expected)
    last = torch.tensor([4, 9])  # of either batch row
    torch.testing.assert_close(rope.at(last).rotate(q[:, :, 4]), expected[:, :, 4])


@pytest.mark.parametrize("kind", ["none", "causal", "boolean", "additive"])
def test_grouped_queries(kind: str) -> None:
    """Two groups of three query heads against each head with its own copy of keys and values."""
    q, keys, values = draw(4, 6, 8), draw(2, 4, 8, seed=1), draw(2, 4, 8, seed=2)
    allowed = torch.ones(4, 4, dtype=torch.bool).tril()
    mask = {"boolean": allowed, "additive": torch.zeros(4, 4).masked_fill(~allowed, -torch.inf)}.get(kind)
    out = attend(q, Seen(keys, values, mask, causal=kind == "causal"), scaling=0.3, dropout=0.0)
    scores = torch.einsum("nhd,hmd->hnm", q, keys.repeat_interleave(3, 0)) * 0.3
    if kind != "none":
        scores = scores.masked_fill(~allowed, -torch.inf)
    expected = torch.einsum("hnm,hmd->nhd", scores.softmax(-1), values.repeat_interleave(3, 0))
    torch.testing.assert_close(out, expected.flatten(1))


def test_dropout_is_that_of_the_weights() -> None:
    seen = Seen(draw(1, 4, 8), draw(1, 4, 8), None, causal=False)
    kept = attend(draw(3, 2, 8), seen, scaling=1.0, dropout=0.0)
    dropped = attend(draw(3, 2, 8), seen, scaling=1.0, dropout=0.9)
    assert kept.shape == dropped.shape == (3, 16) and not torch.equal(kept, dropped)
