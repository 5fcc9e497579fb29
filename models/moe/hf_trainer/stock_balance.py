"""The balance loss of transformers' stock mixtures, over the tokens of all processes, attached to their layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from ...anatomy import describe, unwrapped
from ...calibration.token_mask import real_tokens
from ...errors import ModelError
from ..routing.attached_loss import attached_first
from ..routing.global_sums import ALL, Together
from ..routing.once_differentiable import once_differentiable
from ..routing.recomputation import recomputing

# Shapes: B rows of a batch, L tokens of a row, T = B * L, N experts, K chosen experts.


class StockBalance:
    """Attaches N * sum_e f_e P_e, times `coefficient`, to the mixtures of a stock model; see `attached_loss.py`.

    f_e are the picks of expert e per token and P_e is its mean probability, both over all layers, as in transformers'
    `load_balancing_loss_func` (Switch Transformers, arXiv 2101.03961, equations 4 to 6, for k picks). They are means
    over the real tokens of all processes of `together`, as if one process had seen them: a mean of the losses of the
    processes is something else, since the loss is a product. f has no gradient, so that what is sent, once for each
    forward pass, in its backward pass, are counts.

    Until `remove`, the model's own balance loss is off (`output_router_logits`), which is one of its own process alone
    and fails on the mask of packed rows. Raises `ModelError` for a model without routed experts.
    """

    def __init__(self, model: Any, coefficient: float, together: Together = ALL) -> None:
        model = unwrapped(model)
        self.coefficient = coefficient
        self.together = together
        self._now: _Pass | None = None
        self._last: _Pass | None = None
        self._mass: dict[int, Tensor] = {}
        mixtures = [block.mlp for block in describe(model).blocks if block.mlp is not None and block.mlp.experts]
        if not mixtures:
            raise ModelError(f"{type(model).__name__} has no routed experts to balance")
        # The model without its head, which losses of another's making (Liger, TRL) call by itself.
        self._hooks: list[Any] = [model.base_model.register_forward_pre_hook(self._begin, with_kwargs=True)]
        for layer, mlp in enumerate(mixtures):
            assert mlp.experts is not None
            routed = partial(self._routed, layer, mlp.experts.top_k)
            self._hooks.append(mlp.experts.router.get().register_forward_hook(routed))
            self._hooks.append(mlp.site.get().register_forward_hook(partial(self._mixed, layer)))
        self._config = model.config
        self._before = model.config.output_router_logits
        model.config.output_router_logits = False

    def value(self) -> Tensor | None:
        """The loss of the last forward pass in training, a scalar without gradient: of the own tokens, and of all
        tokens once the backward pass has begun. None before the first."""
        return None if self._last is None else self._last.value()

    def remove(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()
        self._config.output_router_logits = self._before

    def _begin(self, module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._mass.clear()
        if not module.training or not torch.is_grad_enabled():
            self._now = None  # somebody looks
            return
        overtaken = self._last is not None and self._last.waits()
        self._now = self._last = _Pass(self.coefficient, self.together, _mask(args, kwargs), overtaken)

    def _routed(self, layer: int, top_k: int, module: Any, args: Any, output: Any) -> None:
        """After the router: what the loss is made of."""
        now = self._last if recomputing() else self._now
        if now is None or not module.training:
            return
        logits_TN = output[0] if isinstance(output, tuple) else output
        probability_TN = logits_TN.softmax(-1)
        probability_TN = probability_TN.to(torch.promote_types(probability_TN.dtype, torch.float32))
        real_T1 = probability_TN.new_ones(len(logits_TN), 1) if now.real_T1 is None else now.real_T1.to(probability_TN)
        self._mass[layer] = (probability_TN * real_T1).sum(0)
        if not recomputing():
            now.add(probability_TN.detach(), top_k, real_T1)

    @_disable_dynamo  # the backward pass changes what the layers of a pass know together
    def _mixed(self, layer: int, module: Any, args: object, output: object) -> Any:
        """After the mixture: its output, with the gradient of the loss."""
        mass_N = self._mass.pop(layer, None)
        if mass_N is None or self._last is None:
            return None
        if recomputing():
            self._last.check_its_turn()
        return attached_first(output, _Term.apply(mass_N, self._last, layer))


class _Pass:
    """One forward pass. `real_T1`: which tokens are real, None: all. `overtaken`: the pass before it, too, has layers
    whose graph is only made in its backward pass, which has not been."""

    def __init__(self, coefficient: float, together: Together, real_T1: Tensor | None, overtaken: bool) -> None:
        self.coefficient = coefficient
        self.together = together
        self.real_T1 = real_T1
        self.overtaken = overtaken
        self.blind = False
        self.own: _Sums | None = None
        self.all: _Sums | None = None
        self._slope_N: Tensor | None = None
        self._served: set[int] = set()

    def add(self, probability_TN: Tensor, top_k: int, real_T1: Tensor) -> None:
        """Count the tokens of a layer."""
        self.blind = self.blind or not torch.is_grad_enabled()
        index_TK = probability_TN.topk(top_k, dim=-1).indices
        chosen_TN = torch.zeros_like(probability_TN).scatter(1, index_TK, 1.0)
        found = _Sums((chosen_TN * real_T1).sum(0), (probability_TN * real_T1).sum(0), real_T1.sum())
        if self.own is not None:
            found = _Sums(*(one + other.to(one) for one, other in zip(self.own, found, strict=True)))
        self.own = found

    def slope(self, layer: int, weight: Tensor) -> Tensor:
        """The derivative by the mass of a layer (N,), of a loss that weighs `weight` here.

        The first layer that asks sends the message for all; when one asks again, that is another backward pass.
        """
        if self._slope_N is None or layer in self._served:
            assert self.own is not None
            *sums, weight = self.together.sum(*self.own, weight.to(self.own.rows))
            self.all = _Sums(*sums)
            picks_N, _, rows = self.all
            rows = rows.clamp_min(1)
            self._slope_N = weight * self.coefficient * len(picks_N) * picks_N / rows / rows
            self._served.clear()
        self._served.add(layer)
        return self._slope_N

    def value(self) -> Tensor | None:
        """N * sum_e f_e P_e of what has been counted."""
        sums = self.all or self.own
        if sums is None:
            return None
        rows = sums.rows.clamp_min(1)  # a batch of padding alone has no loss
        return self.coefficient * len(sums.picks) * (sums.picks / rows * (sums.mass / rows)).sum()

    def waits(self) -> bool:
        """Whether layers of it will be attached in a backward pass that has not begun."""
        return self.blind and self.all is None

    def check_its_turn(self) -> None:
        """Raise a `ModelError` where a layer that is recomputed may be of this pass or of the one before."""
        if self.blind and self.overtaken:
            raise ModelError(
                "reentrant checkpointing (use_reentrant=True) of two forward passes before a backward pass: it cannot "
                "be told which of them a layer belongs to; pass {'use_reentrant': False}"
            )


class _Sums(NamedTuple):
    """Over the real tokens of all layers: how many chose each expert and the sum of their probabilities, both (N,), and
    their number."""

    picks: Tensor
    mass: Tensor
    rows: Tensor


class _Term(torch.autograd.Function):
    """A scalar whose derivative by the mass of a layer is that of the loss of the whole pass."""

    @staticmethod
    def forward(ctx: Any, mass_N: Tensor, of: _Pass, layer: int) -> Tensor:
        """0: `_Pass.value` knows the value."""
        ctx.of = of
        ctx.layer = layer
        return mass_N.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """The slope; `grad` is the scale."""
        return ctx.of.slope(ctx.layer, grad).to(grad), None, None


def _mask(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Which tokens are real (T, 1) in a call of a model; None: all."""
    mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
    if mask is None:
        return None
    given = args[0] if args else kwargs.get("input_ids")
    if given is None:
        given = kwargs["inputs_embeds"]
    return real_tokens(mask, given.shape[0], given.shape[1]).reshape(-1, 1)
