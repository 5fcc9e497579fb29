from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.calibration.hooks import FFNSample
from sparsebench.models.moe.splits.importance import cluster_importance, importance

Build = Callable[[str], nn.Module]
TOKENS = torch.randint(3, 64, (4, 9), generator=torch.Generator().manual_seed(5))


def down(model: nn.Module) -> Tensor:
    return model.model.layers[0].mlp.down_proj.weight


def test_gradient_importance_of_each_neuron(build: Build) -> None:
    """Against one neuron at a time: a gain on its activation at each token, differentiated."""
    model = build("llama").double()
    sample = calibrate(model, [TOKENS], gradients=True).samples[0]
    found = importance(sample, down(model), "gradient")
    for neuron in range(0, 50, 7):
        gain = torch.ones(4, 9, dtype=torch.float64, requires_grad=True)

        def scaled(module: nn.Module, args: tuple[Tensor], neuron=neuron, gain=gain) -> tuple[Tensor]:
            mask = torch.zeros(50, dtype=torch.float64)
            mask[neuron] = 1
            return (args[0] * (1 + (gain - 1).unsqueeze(-1) * mask),)

        hook = model.model.layers[0].mlp.down_proj.register_forward_pre_hook(scaled)
        logits = model(TOKENS).logits
        hook.remove()
        F.cross_entropy(logits[:, :-1].transpose(1, 2), TOKENS[:, 1:], reduction="sum").backward()
        assert gain.grad is not None
        expected = gain.grad.abs().sum() / (4 * 8)  # nothing is predicted from the last token of a text
        torch.testing.assert_close(found[neuron], expected)


@pytest.mark.parametrize("kind", ["gradient", "activation"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_clusters_against_a_loop(kind, dtype: torch.dtype) -> None:
    """1,500 tokens, more than are summed at a time; cluster 2 has none; one token in five does not reach the loss."""
    generator = torch.Generator().manual_seed(0)
    h, dh = (torch.randn(1500, 6, generator=generator).to(dtype) for _ in range(2))
    weight, x = torch.randn(4, 6, generator=generator).to(dtype), torch.zeros(1500, 4)
    dh[::5] = 0
    label = torch.randint(0, 2, (1500,), generator=generator)
    found = cluster_importance(FFNSample(x, h, dh), weight, kind, label, 3)
    h, dh, weight = h.double(), dh.double(), weight.double()
    used = torch.tensor([t % 5 > 0 or kind == "activation" for t in range(1500)])
    for cluster, tokens in enumerate([used & (label == 0), used & (label == 1), used]):
        for neuron in range(6):
            if kind == "gradient":
                expected = (h[tokens, neuron] * dh[tokens, neuron]).abs().mean()
            else:
                expected = h[tokens, neuron].abs().mean() * weight[:, neuron].norm()
            torch.testing.assert_close(found[cluster, neuron].double(), expected, rtol=1e-4, atol=1e-6)
