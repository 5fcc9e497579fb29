"""The MoE feed-forward layer that takes the place of a dense one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..anatomy import MLP, Experts, ExpertWeights, Site
from .experts import ExpertBank
from .router import LinearRouter


class MoEFFN(nn.Module):
    """y = shared(x) + s * sum over the k chosen experts of g_e E_e(x) + b_down.

    The shared block and the bias have coefficient 1. `neurons` (hidden,) holds the indices in the dense layer, shared
    first, then expert by expert, so that the dense layer can be put together again. `template` is the dense FFN (one
    module, or two for an FFN spread over two) without memory for its weights.
    """

    neurons: Tensor

    def __init__(
        self,
        *,
        router: LinearRouter,
        experts: ExpertBank,
        shared: ExpertBank | None,
        down_bias: Tensor | None,
        neurons: Tensor,
        template: tuple[nn.Module, nn.Module | None],
    ) -> None:
        super().__init__()
        self.router, self.experts, self.shared = router, experts, shared
        self.down_bias = None if down_bias is None else nn.Parameter(down_bias)
        self.register_buffer("neurons", neurons)
        self.template = template  # a tuple, so that torch does not register the modules in it

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        x_TD = x.reshape(-1, x.shape[-1])
        out = self.experts(x_TD, *self.router(x_TD))
        if self.shared is not None:
            out = out + self.shared.every(x_TD)
        if self.down_bias is not None:
            out = out + self.down_bias
        return out.view(x.shape)

    def active_parameters(self) -> int:
        """Parameters that work on one token; of unequal experts, the expected number when all are equally likely."""
        routed = sum(parameter.numel() for parameter in self.experts.parameters())
        total = sum(parameter.numel() for parameter in self.parameters())
        return total - routed + round(routed * self.router.top_k / len(self.experts.sizes))

    def describe_mlp(self, site: Site, output: Site, tail: Site | None) -> MLP:
        """This layer as the anatomy sees it."""
        names = ("gate_up", "down") if self.experts.bias is None else ("gate_up", "down", "bias")
        experts = BankedExperts(
            num_experts=len(self.experts.sizes),
            top_k=self.router.top_k,
            tensors=tuple(Site(self.experts, name) for name in names),
            router=Site(self, "router"),
            shared=None if self.shared is None else Site(self, "shared"),
            bank=self.experts,
        )
        return MLP(
            site=site,
            output=output,
            tail=tail,
            kind="moe",
            width=self.experts.down.shape[1],
            hidden=max(self.experts.sizes),
            activation=self.experts.activation,
            experts=experts,
        )


@dataclass(eq=False, kw_only=True)
class BankedExperts(Experts):
    """The experts of a `MoEFFN` as the anatomy sees them."""

    bank: ExpertBank

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        return self.bank.weights(expert)


def dense_weights(layer: MoEFFN) -> tuple[ExpertWeights, Tensor | None]:
    """Gate, up and down matrices of the dense FFN, and the bias of gate and up (gate first), put together again."""
    banks = [layer.experts] if layer.shared is None else [layer.shared, layer.experts]
    parts = [bank.weights(expert) for bank in banks for expert in range(len(bank.sizes))]
    back = layer.neurons.argsort()
    gate = None if parts[0].gate is None else torch.cat([part.gate for part in parts if part.gate is not None])[back]
    up = torch.cat([part.up for part in parts])[back]
    down = torch.cat([part.down for part in parts], dim=1)[:, back]
    return ExpertWeights(gate, up, down), _dense_bias(banks, back)


def _dense_bias(banks: list[ExpertBank], back: Tensor) -> Tensor | None:
    if banks[0].bias is None:
        return None
    pieces = [bank.bias_of(expert) for bank in banks for expert in range(len(bank.sizes))]
    gate = [piece[0] for piece in pieces if piece[0] is not None]
    up = [piece[1] for piece in pieces if piece[1] is not None]
    return torch.cat([torch.cat(part)[back] for part in (gate, up) if part])
