"""Weights drawn anew: all of them, as timm draws them, from the generator alone."""

import pytest
import timm
import torch
from torch import nn

from sparsebench.suites.vtab.random_cnn import resnet
from sparsebench.suites.vtab.redrawing import UndrawnError, redraw


def drawn(network: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    redraw(network, torch.Generator().manual_seed(seed))
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_layers_are_as_wide_as_those_of_a_new_network(name: str) -> None:
    """The spread of each large weight is timm's own to 5 %: of 10,000 draws the standard error is below 1 %.

    Seeded, since one draw in 2 ** 24 of torch's truncated normal is a hundred standard deviations away.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(name, num_classes=0)
    own = {key: weight.std().item() for key, weight in network.named_parameters() if weight.numel() > 10_000}
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(7.0)
    found = drawn(network)
    for key, spread in own.items():
        assert found[key].std().item() == pytest.approx(spread, rel=0.05) and abs(found[key].mean().item()) < 1


def test_statistics_are_forgotten_norms_start_at_1_and_the_seed_decides() -> None:
    network = resnet((8, 8, 16, 16))
    network(torch.randn(4, 3, 32, 32))
    before = torch.get_rng_state()
    found, again, other = drawn(network), drawn(network), drawn(network, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, again[name]) for name, value in found.items())
    assert not torch.equal(found["conv1.weight"], other["conv1.weight"])
    for name, value in found.items():
        if "running_var" in name or (".bn" in name and name.endswith("weight")):
            assert torch.equal(value, torch.ones_like(value)), name


def test_a_weight_without_a_way_to_draw_it_is_refused() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    network.register_parameter("scale", nn.Parameter(torch.ones(2)))
    with pytest.raises(UndrawnError, match="says how scale is drawn"):
        redraw(network, torch.Generator())
