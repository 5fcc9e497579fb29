import pytest
import torch

from sparsebench.models.dynamic.convolution.attention import KernelAttention, SigmoidRouting, pooled

from .reference import images, shaken


def test_shares_by_the_formula() -> None:
    """Softmax of U relu(V pool(x)) over the temperature; with a high one nearly uniform."""
    attention, x = KernelAttention(6, 3, torch.Generator(), reduction=3, temperature=2).double(), images()
    shaken(attention)
    hidden = (x.sum((2, 3)) / 81 @ attention.squeeze.weight.T).clamp(min=0)
    logits = hidden @ attention.excite.weight.T + attention.excite.bias
    raised = (logits / 2).exp()
    torch.testing.assert_close(attention(x), raised / raised.sum(1, keepdim=True))
    attention.temperature.fill_(1e4)
    torch.testing.assert_close(attention(x), torch.full((3, 3), 1 / 3).double(), rtol=1e-3, atol=0)


def test_at_least_one_hidden_unit() -> None:
    assert KernelAttention(6, 3, torch.Generator()).squeeze.weight.shape == (1, 6)


@pytest.mark.parametrize("channels", [32, 33, 40, 512])
def test_hidden_units_are_never_all_dead(channels: int) -> None:
    for seed in range(5):
        attention = KernelAttention(channels, 4, torch.Generator().manual_seed(seed))
        hidden = torch.relu(attention.squeeze(pooled(images(20, channels=channels)).float()))
        assert (hidden.max(1).values > 0).all()
        assert 0.5 < attention.squeeze.weight.std().item() / (2 / (channels // 16)) ** 0.5 < 1.5


@pytest.mark.parametrize("kernels", [1, 2, 3, 8])
def test_routing_starts_with_shares_that_sum_to_one(kernels: int) -> None:
    routing = SigmoidRouting(6, kernels).double()
    shares = routing(images())
    torch.testing.assert_close(shares, torch.full((3, kernels), 1 / kernels).double(), rtol=1e-6, atol=0)
    shaken(routing)
    expected = torch.sigmoid(pooled(images()) @ routing.route.weight.T + routing.route.bias)
    torch.testing.assert_close(routing(images()), expected)
