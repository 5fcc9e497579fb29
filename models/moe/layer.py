"""The MoE feed-forward layer that takes the place of a dense one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import MLP, Experts, ExpertWeights, Site, see_through
from ..errors import ModelError
from .config import MoEConfig
from .experts import ExpertBank
from .experts.bank import check_sizes
from .experts.view import banked, banked_mlp
from .routing.balance import balance_in_training, within_capacity
from .routing.choice_bias import discard_counts
from .routing.choices import Routing
from .routing.densemixer import mix_densely
from .routing.recomputation import recomputing
from .routing.router import Router

SAID = "scale"
"""Where the metadata of a state dict has a scale that was fitted."""


class Alignment(nn.Module):
    """y * gain + offset, per output channel (LLaMA-MoE v2's distribution alignment). Both (width,)."""

    def __init__(self, gain: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(gain)
        self.offset = nn.Parameter(offset)

    def forward(self, y: Tensor) -> Tensor:
        """Scale and shift."""
        return y * self.gain + self.offset


class MoEFFN(nn.Module):
    """y = shared(x) + s * sum over the k chosen experts of g_e E_e(x) + b_down, then aligned if there is an alignment.

    The shared block and the bias have coefficient 1. `neurons` (stored neurons,) holds the indices in the dense layer,
    shared first, then expert by expert, so that the dense layer of `hidden` neurons can be put together again.
    `template` is the dense FFN (the modules of `MLP.parts`) without memory for its weights. `dropout` is the p of
    dropout on the outputs in training.

    A state dict says in its metadata what a "calibrated" scale was fitted to, and a layer with such a scale takes it
    from there. It does not say what the configuration says, as top_k and score.

    `aux` is the balance loss of the last forward pass in training mode, None before it. `token_mask` says, for the next
    call in training, which tokens are real (bool, as many as tokens; None: all): padding is in no balance loss, and
    gets no place within the capacity. The block sets it from the mask that it is called with (`routing/padding.py`).
    """

    neurons: Tensor

    def __init__(
        self,
        *,
        config: MoEConfig,
        router: Router,
        experts: ExpertBank,
        shared: ExpertBank | None,
        down_bias: Tensor | None,
        neurons: Tensor,
        hidden: int,
        template: tuple[nn.Module, ...],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.config = config
        self.router = router
        self.experts = experts
        self.shared = shared
        self.down_bias = None if down_bias is None else nn.Parameter(down_bias)
        self.alignment: Alignment | None = None
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.register_buffer("neurons", neurons)
        self.hidden = hidden
        self.template = template  # a tuple, so that torch does not register the modules in it
        self.aux: Tensor | None = None
        self.token_mask: Tensor | None = None
        self._was_masked = False

    @property
    def scale(self) -> float:
        """The factor s of the routed output, which the router puts into its weights."""
        return self.router.scale

    @scale.setter
    def scale(self, value: float) -> None:
        self.router.scale = value

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        x_TD = x.reshape(-1, x.shape[-1])
        out = self.routed(x_TD)
        if self.shared is not None:
            out = out + self.shared(x_TD)
        if self.down_bias is not None:
            out = out + self.down_bias
        if self.alignment is not None:
            out = self.alignment(out)
        if self.dropout is not None:
            out = self.dropout(out)
        return out.view(x.shape)

    def routed(self, x_TD: Tensor) -> Tensor:
        """s * sum of g_e E_e(x), (T, D)."""
        routing = self.router(x_TD, choice_only=not self.training)
        if self.training:
            routing = self._balanced(routing)
            if routing.passed is not None:
                return mix_densely(self.experts, x_TD, routing.index, routing.weight, routing.passed)
        return self.experts(x_TD, routing.index, routing.weight)

    @property
    def counts_tokens(self) -> bool:
        """Whether anything in training depends on which tokens are real."""
        return self.config.counts_tokens or self.config.capacity is not None

    def _balanced(self, routing: Routing) -> Routing:
        real_T = self._real(routing.index)
        self.aux = balance_in_training(self.config, self.router, routing, real_T)
        if self.config.capacity is None:
            return routing
        return within_capacity(routing, self.config.capacity, real_T)

    def _real(self, index_TK: Tensor) -> Tensor | None:
        """Which tokens of this call are real (T,), None: all. The mask serves one call: the next may have another."""
        mask = self.token_mask
        self.token_mask = None
        if mask is None:
            if self._was_masked and recomputing():
                raise ModelError(
                    "a mixture is recomputed without the mask that its block had: checkpoint whole blocks; where the "
                    "attention was replaced, routing.padding.hand_over_masks(model) lets the new one bring the mask"
                )
            self._was_masked = False
            return None
        if mask.numel() != len(index_TK):
            raise ModelError(
                f"a token mask of shape {tuple(mask.shape)} does not fit the {len(index_TK)} tokens of a mixture: its "
                "block has to give it all tokens at once (chunk_size_feed_forward=0)"
            )
        self._was_masked = True
        return mask.flatten().to(index_TK.device)

    def active_parameters(self) -> int:
        """Parameters that work on one token; of unequal experts, the expected number when all are equally likely."""
        routed = _numel(self.experts)
        always = _numel(self) - routed
        return always + round(routed * self.router.top_k / len(see_through(self, "experts").get().sizes))

    def describe_mlp(self, site: Site, output: Site, tail: Site | None) -> MLP:
        """This layer as the anatomy sees it."""
        common = banked(self)
        bank = common["bank"]
        names = ["gate_up", "down"]
        if bank.bias is not None:
            names.append("bias")
        experts = BankedExperts(
            **common,
            tensors=tuple(Site(bank, name) for name in names),
            shared=None if self.shared is None else see_through(self, "shared"),
            softmax=common["router"].get().score != "sigmoid",
            layer=self,
        )
        return banked_mlp(bank, experts, site, output, tail=tail)

    def forget_experts(self, kept: Sequence[int], *, of_router: bool = True) -> None:
        """Let sizes, neurons and configuration follow when the bank holds these of its former experts only.

        The configuration is that of the router: it stays where the router does not follow (`of_router` False).
        """
        bank: ExpertBank = see_through(self, "experts").get()
        shared = len(self.neurons) - sum(bank.sizes)
        pieces = self.neurons[shared:].split(list(bank.sizes))
        self.neurons = torch.cat((self.neurons[:shared], *(pieces[index] for index in kept)))
        bank.sizes = tuple(bank.sizes[index] for index in kept)
        if not of_router:
            return
        discard_counts(self)
        self.config = replace(
            self.config,
            num_experts=self.config.num_shared + len(bank.sizes),
            top_k=min(self.config.top_k, len(bank.sizes)),
        )

    def forget_neurons(self, kept: Sequence[Tensor]) -> None:
        """Let the numbers of the dense layer's neurons follow when each expert keeps these of its own only."""
        bank: ExpertBank = see_through(self, "experts").get()
        shared = len(self.neurons) - sum(bank.sizes)
        pieces = self.neurons[shared:].split(list(bank.sizes))
        left = [piece[own.to(piece.device)] for piece, own in zip(pieces, kept, strict=True)]
        self.neurons = torch.cat((self.neurons[:shared], *left))

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.config.scale == "calibrated" and hasattr(destination, "_metadata"):  # which `torch.save` keeps
            destination._metadata[prefix[:-1]][SAID] = self.scale

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Take the scale that was fitted to the data of the saved layer, too, of which no tensor tells."""
        if self.config.scale == "calibrated":
            self.scale = local_metadata.get(SAID, self.scale)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Without the last loss, whose graph can be neither copied nor pickled, and without a mask."""
        return {**self.__dict__, "aux": None, "token_mask": None, "_was_masked": False}


def _numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@dataclass(eq=False, kw_only=True)
class BankedExperts(Experts):
    """The experts of a `MoEFFN` as the anatomy sees them."""

    bank: ExpertBank
    layer: MoEFFN

    def keep(self, indices: Sequence[int]) -> None:
        """Keep these experts; those that stay know which neurons of the dense layer they hold."""
        super().keep(indices)
        if self.table is None:
            self.layer.forget_experts([int(index) for index in indices])

    def keep_tensors(self, indices: Sequence[int]) -> None:
        """Keep the weights of these experts, and which neurons of the dense layer they hold."""
        super().keep_tensors(indices)
        self.layer.forget_experts([int(index) for index in indices], of_router=False)

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one expert."""
        return self.bank.weights(expert)

    def _narrow(self, kept: Sequence[Tensor]) -> None:
        check_sizes([len(own) for own in kept], gated=self.bank.gated, activation=self.bank.activation)
        self.layer.forget_neurons(kept)
        self.bank.keep_neurons(kept)
