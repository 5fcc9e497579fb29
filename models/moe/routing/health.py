"""Health of routers: whether the experts of each layer share the work, on text of each domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...anatomy import describe
from ...errors import ModelError
from ...evaluation import evaluation_mode
from .counts import cv_squared
from .probe import LayerRouting, routing_probe

# Shapes: N routed experts.


@dataclass(frozen=True, kw_only=True)
class LayerHealth:
    """How one layer spreads the real tokens of one domain over its N experts.

    Attributes:
        layer: dotted name.
        tokens: real ones.
        load: (N,) fraction of the choices that went to each expert, float64; it sums to 1.
        worst: greatest load over the mean one, 1 when the load is even, N when one expert has everything.
        dead: experts that no token chose.
        entropy: that of `load` in nats, log N when it is even.
        token_entropy: mean entropy of the softmax of a token's router logits, in nats; None for a router that gives
            none.
        cv2: squared coefficient of variation of the load, with the unbiased variance (`counts.cv_squared`; Shazeer et
            al., arXiv 1701.06538, appendix A).
    """

    layer: str
    tokens: int
    load: Tensor
    worst: float
    dead: tuple[int, ...]
    entropy: float
    token_entropy: float | None
    cv2: float


def layer_health(seen: LayerRouting) -> LayerHealth:
    """The health of a layer that a probe has watched."""
    return LayerHealth(
        layer=seen.layer,
        tokens=seen.tokens,
        load=seen.load,
        worst=float(seen.load.max()) * len(seen.load),
        dead=seen.dead,
        entropy=seen.entropy,
        token_entropy=seen.token_entropy,
        cv2=load_cv2(seen.load),
    )


def load_cv2(load_N: Tensor) -> float:
    """CV^2 of a load (N,) in any unit, in float64; 0 where no token chose any expert."""
    load_N = load_N.double()
    total = load_N.sum()
    if total == 0:
        return 0.0
    return float(cv_squared(load_N * len(load_N) / total))


def layer_places(model: nn.Module) -> dict[str, tuple[int, bool]]:
    """The number of the block of each FFN and attention, and whether it is the attention, by dotted name."""
    found = {}
    for block in describe(model).blocks:
        if block.mlp is not None:
            found[block.mlp.site.path] = (block.index, False)
        if block.attention is not None:
            found[block.attention.site.path] = (block.index, True)
    return found


@torch.no_grad()
def router_health(model: nn.Module, domains: Mapping[str, Iterable[object]]) -> dict[str, dict[str, LayerHealth]]:
    """How the routers of a model spread the tokens of each domain.

    Converted models, stock mixtures of transformers and attention experts are seen alike; padding does not count. The
    model runs in evaluation mode and is left in the modes that it had.

    Args:
        model: a model with a mixture of experts.
        domains: the batches of each domain: mappings of keyword arguments of the model, or what it is called with.

    Returns:
        By domain and dotted name of the layer, the load of its experts.

    Raises:
        ModelError: a domain without a batch or without a real token; a model without a mixture (`routing_probe`).
    """
    with evaluation_mode(model):
        return {domain: _watched(model, domain, batches) for domain, batches in domains.items()}


def _watched(model: nn.Module, domain: str, batches: Iterable[object]) -> dict[str, LayerHealth]:
    with routing_probe(model) as probe:
        for batch in batches:
            if isinstance(batch, Mapping):
                model(**batch)
            else:
                model(batch)
    if not any(picks.any() for picks in probe.picks.values()):
        raise ModelError(f"no router has seen a token of the domain {domain!r}: give it a batch with a real token")
    return {path: layer_health(seen) for path, seen in probe.layers.items()}
