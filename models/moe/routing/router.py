"""Routers: which experts a token goes to, and with what weight."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from typing import ClassVar, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Site
from ..experts.dispatch import kernels
from .choice_bias import ChoiceBias
from .choices import Choice, Routing
from .config import RouterInit, RoutingConfig
from .densemixer import passed_weights
from .global_sums import ALL
from .recomputation import recomputing
from .start import RouterStart

# Shapes: T tokens, D width, N routed experts, K chosen experts.

NOISE_FLOOR = 1e-2
"""Smallest standard deviation of the routing noise."""


class Router(nn.Module):
    """Logits, noise in training, the choice of the best, and their weights; all in float32 or better.

    `scale` is the factor s of the routed output. The noise of Shazeer et al. (arXiv 1701.06538, equation 4) has
    standard deviation softplus(W_noise x) + 0.01, and W_noise is 0 at first, so that it starts at 0.703. It is drawn
    from torch's global generator, as dropout is; `noise_scale` multiplies it (`noise.scale_noise`) and is no part of
    what is saved. `choice_bias` is there with `balance="bias"` only. `together`: the processes whose tokens the balance
    loss is of. `attached`: the balance loss trains by itself (`attached_loss.py`).

    A class says of itself: `rows`, its parameters and buffers with a row or an entry for each expert; `tensors`, all
    others; `starts`, the values of `MoEConfig.router_init` that it knows; `from_neurons`, whether it starts from a
    typical neuron of each expert, for which calibration data are needed.
    """

    rows: ClassVar[tuple[str, ...]]
    tensors: ClassVar[tuple[str, ...]] = ()
    starts: ClassVar[tuple[str, ...]] = get_args(RouterInit)
    from_neurons: ClassVar[bool] = False

    @classmethod
    def start(cls, given: RouterStart) -> Self:
        """A new router: by default of the configuration and a row for each expert (N, D)."""
        return cls(given.config, given.rows())

    def __init__(self, config: RoutingConfig, like_ND: Tensor) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.score = config.score
        self.renorm = config.renorm
        self.straight_through = config.straight_through
        self.densemixer = config.densemixer
        self.scale = config.scale_value
        self.noise = nn.Parameter(torch.zeros_like(like_ND)) if config.noise == "shazeer" else None
        self.noise_scale = 1.0
        self.together = ALL
        self.attached = False
        self.choice_bias: ChoiceBias | None = None
        if config.balance == "bias":
            self.choice_bias = ChoiceBias(len(like_ND), config.bias_rate, like_ND.device)

    @property
    @abstractmethod
    def num_routed(self) -> int:
        """N."""

    def expert_rows(self) -> list[Site]:
        """The parameters and buffers that have a row or an entry for each expert."""
        sites = [Site(self, name) for name in self.rows if getattr(self, name) is not None]
        if self.noise is not None:
            sites.append(Site(self, "noise"))
        if self.choice_bias is not None:
            sites.append(Site(self.choice_bias, "value"))
        return sites

    def count(self, index_TK: Tensor) -> None:
        """Let the bias, if there is one, count the choices of a training pass; not where the router is frozen."""
        if self.choice_bias is None or recomputing():
            return
        if any(parameter.requires_grad for parameter in self.parameters()):
            self.choice_bias.count(index_TK)

    @abstractmethod
    def logits(self, x_TD: Tensor) -> Tensor:
        """Router logits (T, N) of tokens in float32 or better."""

    def linear_weight(self) -> Tensor | None:
        """W (N, D) if the logits are W x, so that stock checkpoints can hold the router; None if they are not."""
        return None

    def forward(self, x_TD: Tensor, *, choice_only: bool = False) -> Routing | Choice:
        """Route the tokens. With `choice_only` in evaluation, where no hook looks on, a `Choice` if that is faster."""
        if choice_only and not self.training and not self._forward_hooks and self.choice_bias is None:
            choice = self._fast_choice(x_TD)
            if choice is not None:
                return choice
        # A choice is a comparison: logits that are rounded to bfloat16 tie, and a tie sends tokens elsewhere.
        x_TD = x_TD.to(torch.promote_types(x_TD.dtype, torch.float32))
        with _full_precision(x_TD):
            logits_TN = self.logits(x_TD)
            if self.noise is None or not self.training or self.noise_scale == 0:
                return self._choose(logits_TN, logits_TN)
            std_TN = (F.softplus(_linear(x_TD, self.noise)) + NOISE_FLOOR) * self.noise_scale
            noisy_TN = logits_TN + torch.randn_like(logits_TN) * std_TN
            return self._choose(noisy_TN, logits_TN)._replace(noisy=noisy_TN, std=std_TN)

    def _fast_choice(self, x_TD: Tensor) -> Choice | None:
        """The choice without the logits, where there is a faster way to it."""
        return None

    def _choose(self, logits_TN: Tensor, clean_TN: Tensor) -> Routing:
        best_TK, index_TK = self._best(logits_TN)
        weight_TK = self._weights(logits_TN, best_TK, index_TK)
        if self.straight_through and weight_TK.requires_grad:
            # The difference is 0: the value stays, and the gradient is that of the probability.
            probability_TK = logits_TN.softmax(-1).gather(1, index_TK)
            weight_TK = weight_TK + (probability_TK - probability_TK.detach())
        passed_TN = None
        if self.densemixer and self.training and weight_TK.requires_grad:
            renorm = self.renorm or self.score == "topk_softmax"
            passed_TN = passed_weights(self._scores(logits_TN), index_TK, renorm=renorm) * self.scale
        return Routing(index_TK, weight_TK * self.scale, clean_TN, passed=passed_TN)

    def _best(self, logits_TN: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and indices of the chosen experts."""
        if self.choice_bias is None:
            return logits_TN.topk(self.top_k, dim=-1)
        index_TK = self.choice_bias.choose(self._scores(logits_TN), self.top_k)
        return logits_TN.gather(1, index_TK), index_TK

    def _scores(self, logits_TN: Tensor) -> Tensor:
        """Scores of all experts, of which the weights of the chosen ones are made."""
        return logits_TN.sigmoid() if self.score == "sigmoid" else logits_TN.softmax(-1)

    def _weights(self, logits_TN: Tensor, best_TK: Tensor, index_TK: Tensor) -> Tensor:
        if self.score == "none":
            equal_TK = torch.full_like(best_TK, 1 / self.top_k)
            if best_TK.requires_grad:
                # The zero keeps the router in the graph: no parameter without a gradient.
                equal_TK = equal_TK + 0 * best_TK
            return equal_TK
        if self.score == "sigmoid":
            weight_TK = best_TK.sigmoid()
            if self.renorm:
                weight_TK = weight_TK / weight_TK.sum(-1, keepdim=True)
            return weight_TK
        if self.score == "softmax_topk" and not self.renorm:
            return logits_TN.softmax(-1).gather(1, index_TK)
        # A softmax over the chosen logits equals the softmax over all of them divided by the sum of the chosen.
        return best_TK.softmax(-1)

    def extra_repr(self) -> str:  # noqa: D102 - torch's own hook
        noise = "" if self.noise is None else ", noise"
        return f"top_k={self.top_k}, score={self.score}, scale={self.scale:g}{noise}"


class LinearRouter(Router):
    """logits = W x, W (N, D); no bias."""

    rows = ("weight",)

    def __init__(self, config: RoutingConfig, weight_ND: Tensor) -> None:
        super().__init__(config, weight_ND)
        self.weight = nn.Parameter(weight_ND)

    @property
    def num_routed(self) -> int:
        """N."""
        return len(self.weight)

    def logits(self, x_TD: Tensor) -> Tensor:
        """W x."""
        return _linear(x_TD, self.weight)

    def linear_weight(self) -> Tensor | None:
        """W; of a class derived from this one, which may do more, None."""
        return self.weight if type(self) is LinearRouter else None

    def _fast_choice(self, x_TD: Tensor) -> Choice | None:
        """One C++ call, where that can be had; it knows nothing of what a derived class changes."""
        if type(self) is not LinearRouter:
            return None
        library = kernels(x_TD, self.weight)
        if library is None:
            return None
        return Choice(*library.route(x_TD, self.weight, self.top_k, self._rule(), self.scale))

    def _rule(self) -> str:
        if self.score == "sigmoid":
            return "sigmoid share" if self.renorm else "sigmoid"
        if self.score == "softmax_topk" and not self.renorm:
            return "softmax of all"
        return "equal" if self.score == "none" else "softmax of chosen"


class MLPRouter(Router):
    """logits = V tanh(W x), W (N, D), V (N, N); the router of LLaMA-MoE v1."""

    rows = ("output",)
    tensors = ("hidden",)
    starts = ("random", "zeros")

    @classmethod
    def start(cls, given: RouterStart) -> Self:
        """Random matrices, or the last one 0."""
        experts = given.config.num_routed
        # The last matrix is drawn first: the order decides what a seed gives.
        if given.init == "zeros":
            output_NN = given.like.new_zeros(experts, experts)
        else:
            output_NN = given.random(experts, experts)
        return cls(given.config, given.random(experts, given.width), output_NN)

    def __init__(self, config: RoutingConfig, hidden_ND: Tensor, output_NN: Tensor) -> None:
        super().__init__(config, hidden_ND)
        self.hidden = nn.Parameter(hidden_ND)
        self.output = nn.Parameter(output_NN)

    @property
    def num_routed(self) -> int:
        """N."""
        return len(self.output)

    def logits(self, x_TD: Tensor) -> Tensor:
        """V tanh(W x)."""
        return _linear(_linear(x_TD, self.hidden).tanh(), self.output)


class GLURouter(Router):
    """Logit of an expert = |h_r(x)|, the activation of a neuron with rows of unit length (CMoE, arXiv 2502.04416).

    `gate`, `up` (N, D) and their biases start as those of one neuron of the expert, r; without gate
    h_r = act(W_up x + b).
    """

    rows = ("gate", "up", "gate_bias", "up_bias")
    starts = ("analytic",)
    from_neurons = True

    @classmethod
    def start(cls, given: RouterStart) -> Self:
        """The typical neurons, with rows of unit length."""
        neurons = given.neurons().unit()
        return cls(
            given.config,
            gate=neurons.gate,
            up=neurons.up,
            gate_bias=neurons.gate_bias,
            up_bias=neurons.up_bias,
            activation=neurons.activation,
        )

    def __init__(
        self,
        config: RoutingConfig,
        *,
        gate: Tensor | None,
        up: Tensor,
        gate_bias: Tensor | None,
        up_bias: Tensor | None,
        activation: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__(config, up)
        self.gate = _parameter(gate)
        self.up = nn.Parameter(up)
        self.gate_bias = _parameter(gate_bias)
        self.up_bias = _parameter(up_bias)
        self.activation = activation

    @property
    def num_routed(self) -> int:
        """N."""
        return len(self.up)

    def logits(self, x_TD: Tensor) -> Tensor:
        """|act(W_gate x) * (W_up x)|, or |act(W_up x)|."""
        up_TN = _linear(x_TD, self.up, self.up_bias)
        if self.gate is None:
            return self.activation(up_TN).abs()
        gate_TN = _linear(x_TD, self.gate, self.gate_bias)
        return (self.activation(gate_TN) * up_TN).abs()


def _linear(x_TD: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if bias is not None:
        bias = bias.to(x_TD.dtype)
    return F.linear(x_TD, weight.to(x_TD.dtype), bias)


def _parameter(tensor: Tensor | None) -> nn.Parameter | None:
    return None if tensor is None else nn.Parameter(tensor)


def _full_precision(x: Tensor) -> torch.autocast | nullcontext[None]:
    """Autocast would put the logits in bf16, where they tie."""
    if x.device.type == "meta" or not torch.is_autocast_enabled(x.device.type):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
