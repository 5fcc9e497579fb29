"""The divergence by hand, and that only real tokens count."""

import torch

from sparsebench.models.moe.conversion.output_divergence import output_divergence


def test_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    before, now = (torch.randn(2, 3, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    p, q = before.softmax(-1), now.softmax(-1)
    by_token = (p * (p / q).log()).sum(-1)
    torch.testing.assert_close(output_divergence(before, now), by_token.mean())
    real = torch.tensor([[True, True, False], [True, False, False]])
    torch.testing.assert_close(output_divergence(before, now, real), by_token[real].mean())
    assert output_divergence(before, before).abs() < 1e-12
    assert output_divergence(before.bfloat16(), now.bfloat16()).dtype == torch.float32
