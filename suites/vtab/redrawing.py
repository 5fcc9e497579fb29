"""All weights of a timm network drawn anew, as those of a new network are."""

from typing import Any

import torch
from torch import nn


class UndrawnError(ValueError):
    """A network has a weight that neither its layers nor the network itself can draw."""


def redraw(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all parameters anew, in place, and forget the statistics of batch norms.

    Each layer draws its own by `reset_parameters`; then the network draws what it draws in another way, and what is no
    layer (tokens, positions). A ResNet's norms start at 1, those at the end of a block too, as in `random_cnn`. Drawn
    on the processor, so that they are the same weights on every device; the global generator stays as it was.

    Args:
        network: of timm.
        generator: what the weights come from.

    Raises:
        UndrawnError: a weight is left that nobody draws; the network is of no use then.
    """
    place = next(network.parameters()).device
    network.cpu()
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(torch.nan)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(torch.randint(2**62, (), generator=generator).item())
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
        _draw_whole(network)
    left = [name for name, weight in network.named_parameters() if weight.isnan().any()]
    if left:
        raise UndrawnError(f"no layer of this network says how {left[0]} is drawn, so it has no random features")
    network.to(place)


def _draw_whole(network: Any) -> None:
    """What timm does to a network of this class when it is new."""
    from timm.models import EfficientNet, MobileNetV3, ResNet
    from timm.models._efficientnet_builder import efficientnet_init_weights

    if isinstance(network, EfficientNet | MobileNetV3):
        efficientnet_init_weights(network)
    elif isinstance(network, ResNet):
        network.init_weights(zero_init_last=False)
    elif hasattr(network, "init_weights"):
        network.init_weights()
