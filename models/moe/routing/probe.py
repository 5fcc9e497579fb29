"""Routing seen from outside: one probe for stock mixtures of transformers, converted ones and attention experts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import Block, Experts, UnknownAnatomy, describe
from ...calibration.token_mask import MaskReader
from ...errors import ModelError
from .choices import Routing
from .counts import RoutingCounts, entropy
from .recomputation import recomputing
from .statistics import Routed

# Shapes: B rows of a batch, L tokens of a row, T = B * L, N routed experts, K chosen experts.


@dataclass(frozen=True, kw_only=True)
class LayerRouting:
    """How one layer routed the real tokens that passed while the probe was open.

    Attributes:
        layer: dotted name.
        tokens: real ones.
        load: (N,) fraction of the choices that went to each expert; it sums to 1.
        importance: (N,) fraction of the weight; it sums to 1.
        dead: experts that no token chose.
        dropped: fraction of the choices that went to no expert, beyond capacity or because the row of the router that
            was chosen stands for none (`Experts.table`).
        entropy: that of `load` in nats, log N when it is even.
        token_entropy: mean entropy of the softmax of a token's router logits in nats, 0 when the router is certain;
            None for a router that gives none.
    """

    layer: str
    tokens: int
    load: Tensor
    importance: Tensor
    dead: tuple[int, ...]
    dropped: float
    entropy: float
    token_entropy: float | None


class RoutingProbe:
    """What `routing_probe` gives: the routing seen so far, also after the probe is closed."""

    def __init__(self, observers: Mapping[str, _Observer]) -> None:
        self._observers = observers

    @property
    def layers(self) -> dict[str, LayerRouting]:
        """Each mixture by its dotted name in the model; those that no token has passed are excluded.

        Raises:
            ModelError: no token has passed any.
        """
        seen = {}
        for path, observer in self._observers.items():
            if observer.counts.tokens:
                seen[path] = _summary(path, observer.counts)
        if not seen:
            raise ModelError("no router has seen a token: run the model inside `with routing_probe(model) as probe:`")
        return seen

    @property
    def picks(self) -> dict[str, Tensor]:
        """How many tokens chose each expert (N,) of each mixture, float64; also of mixtures that saw no token."""
        return {path: observer.counts.picks.clone() for path, observer in self._observers.items()}

    @property
    def choices(self) -> dict[str, Tensor]:
        """The experts of each token (T, K) of each mixture that saw one, int64 on the CPU, in the order of the tokens;
        an index of N stands for no expert. Empty unless the probe keeps them.
        """
        return {path: torch.cat(observer.choices) for path, observer in self._observers.items() if observer.choices}


@contextmanager
def routing_probe(
    model: nn.Module,
    mask: Tensor | None = None,
    *,
    logits: bool = True,
    training_only: bool = False,
    choices: bool = False,
) -> Iterator[RoutingProbe]:
    """Watch where each mixture of experts in a model sends its tokens, until the context closes.

    Padding does not count. Forward passes that recompute activations in a backward pass do not count either.

    Args:
        model: a converted model or a stock mixture of transformers.
        mask: (B, L), not 0 for a real token, for calls of just that shape; None is the attention mask that each block
            is called with.
        logits: ask the routers of FFNs for their logits. Without, there is no `token_entropy`, and what the model puts
            out in evaluation stays the same to the last digit.
        training_only: forward passes in evaluation mode do not count.
        choices: keep the experts of every token, and not their counts alone.

    Yields:
        The probe, with what it saw of each layer by name.

    Raises:
        ModelError: a model without a mixture, one whose experts are not called with (x, index, weight), and a mask that
            does not fit.
        UnknownAnatomy: no describer knows the model.

    Example::

        with routing_probe(model) as probe:
            model(**batch)
        probe.layers["model.layers.0.mlp"].load
    """
    observers: dict[str, _Observer] = {}
    made = partial(_Observer, mask=mask, logits=logits, training_only=training_only, choices=choices)
    try:
        _observe(model, made, observers)
        if not observers:
            raise ModelError(f"{type(model).__name__} has no mixture of experts to watch")
        yield RoutingProbe(observers)
    finally:
        for observer in observers.values():
            observer.remove()


def has_mixture(model: nn.Module) -> bool:
    """Whether there is anything for a probe to see."""
    try:
        blocks = describe(model).blocks
    except UnknownAnatomy:
        return False
    return any(_routed_ffn(block) is not None or _routed_attention(block) is not None for block in blocks)


def _routed_ffn(block: Block) -> Experts | None:
    return None if block.mlp is None else block.mlp.experts


def _routed_attention(block: Block) -> Routed | None:
    module = None if block.attention is None else block.attention.site.get()
    return module if isinstance(module, Routed) else None


def _observe(model: nn.Module, observer_of: Callable[[str, int], _Observer], found: dict[str, _Observer]) -> None:
    """Put an observer on each mixture, into `found` as soon as it has hooks."""
    for block in describe(model).blocks:
        module = block.site.get()
        attention = _routed_attention(block)
        if attention is not None:
            assert block.attention is not None
            path = block.attention.site.path
            found[path] = observer = observer_of(path, attention.router.num_routed)
            observer.watch_attention(module, attention.router)
        experts = _routed_ffn(block)
        if experts is not None:
            assert block.mlp is not None
            path = block.mlp.site.path
            found[path] = observer = observer_of(path, experts.num_experts)
            observer.watch_ffn(module, experts)


class _Observer:
    """Hooks of one mixture. In each call the block says which tokens are real, then the router gives logits, then the
    experts get index and weight; attention experts have their index and weight from the router alone."""

    def __init__(
        self, path: str, experts: int, *, mask: Tensor | None, logits: bool, training_only: bool, choices: bool
    ) -> None:
        self.path = path
        self.counts = RoutingCounts(experts)
        self.given = mask
        self.wants_logits = logits
        self.training_only = training_only
        self.keeps_choices = choices
        self.choices: list[Tensor] = []
        self.real: Tensor | None = None
        self.logits: Tensor | None = None
        self.hooks: list[Any] = []

    def watch_ffn(self, block: nn.Module, experts: Experts) -> None:
        """Look at the experts module of an FFN."""
        if experts.module is None:
            raise ModelError(f"the experts of {self.path} are not called with (x, index, weight): nothing to watch")
        self._watch_block(block)
        if self.wants_logits:
            # In evaluation a router that somebody looks at takes another way to its choice, which rounds differently.
            self.hooks.append(experts.router.get().register_forward_hook(self._router_gave))
        got = partial(self._experts_got, zero_is_none=experts.table is not None)
        self.hooks.append(experts.module.get().register_forward_pre_hook(got, with_kwargs=True))

    def watch_attention(self, block: nn.Module, router: nn.Module) -> None:
        """Look at the router of attention experts."""
        self._watch_block(block)
        self.hooks.append(router.register_forward_hook(self._attention_routed))

    def remove(self) -> None:
        """Take the hooks off the model."""
        for hook in self.hooks:
            hook.remove()

    def _watch_block(self, block: nn.Module) -> None:
        reader = MaskReader.of(block)

        def called(module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
            self.real = reader(args, kwargs) if self.given is None else self.given

        self.hooks.append(block.register_forward_pre_hook(called, with_kwargs=True))

    def _router_gave(self, module: nn.Module, args: object, output: object) -> None:
        logits = output.logits if isinstance(output, Routing) else output
        if isinstance(logits, tuple):  # routers of transformers: logits, weights, indices
            logits = logits[0]
        self.logits = None
        if isinstance(logits, Tensor) and logits.shape[-1] == len(self.counts.picks):
            self.logits = logits.detach().flatten(0, -2)

    def _experts_got(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, zero_is_none: bool
    ) -> None:
        _, index, weight = (*args, *kwargs.values())
        weight_TK = weight.detach().flatten(0, -2)
        index_TK = index.detach().flatten(0, -2)
        if zero_is_none:
            # Behind a table experts of transformers get a choice of none as one of the first expert, weight 0.
            index_TK = index_TK.masked_fill(weight_TK == 0, len(self.counts.picks))
        self._add(module, index_TK, weight_TK)

    def _attention_routed(self, module: nn.Module, args: object, routing: Routing) -> None:
        self.logits = routing.logits
        self._add(module, routing.index, routing.weight)

    @torch.no_grad()  # nothing of this belongs into a graph, least of all into one that is recomputed without it
    def _add(self, module: nn.Module, index_TK: Tensor, weight_TK: Tensor) -> None:
        # Cleared whether the call counts or not: they belong to it alone.
        logits_TN, self.logits = self.logits, None
        real, self.real = self.real, None
        if recomputing() or (self.training_only and not module.training):
            return
        if real is None:
            self._count(index_TK, weight_TK, logits_TN)
            return
        if real.numel() != len(index_TK):
            raise ModelError(
                f"a token mask of shape {tuple(real.shape)} does not fit the {len(index_TK)} tokens of {self.path}"
            )
        real_T = real.flatten().bool().to(index_TK.device)
        if logits_TN is not None:
            logits_TN = logits_TN[real_T]
        self._count(index_TK[real_T], weight_TK[real_T], logits_TN)

    def _count(self, index_TK: Tensor, weight_TK: Tensor, logits_TN: Tensor | None) -> None:
        self.counts.add(index_TK, weight_TK, logits_TN)
        if self.keeps_choices:
            self.choices.append(index_TK.cpu().long())


def _summary(path: str, seen: RoutingCounts) -> LayerRouting:
    picks = seen.picks.sum()
    load = seen.picks / picks.clamp_min(1)
    importance = seen.weight
    if importance.sum() > 0:
        importance = importance / importance.sum()
    return LayerRouting(
        layer=path,
        tokens=seen.tokens,
        load=load,
        importance=importance,
        dead=tuple((seen.picks == 0).nonzero().flatten().tolist()),
        dropped=1 - float(picks) / max(seen.choices, 1),
        entropy=float(entropy(load)),
        token_entropy=None if seen.entropy is None else float(seen.entropy) / seen.tokens,
    )
