"""AdapterFusion: a learned mixture, per position, of adapters of several tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Site
from ...errors import ModelError
from ...sparsity.masked import MaskedLinear
from ..adapter_set import adapter_sets
from ..config import AdapterConfig
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from .bottleneck import Bottleneck, SequentialAdapter


@dataclass(frozen=True, kw_only=True)
class FusionConfig(AdapterConfig):
    """out = h + sum_n a_n V z_n with a = softmax_n((Q h) . (K z_n)) (Pfeiffer et al., arXiv 2005.00247, section 3.2).

    h is the result of the FFN and z_n = scale_n A_n(h) the change by adapters n, all on the same h. V starts as the
    identity, Q and K as N(0, 0.02^2): 3 d^2 parameters per place of width d.

    Attributes:
        adapters: names of attached sets with layers at the same places ("sequential", "houlsby"), attached one after
            another. They are frozen, and stay so when the fusion is removed. While it acts they do so only through it;
            one that is disabled does not take part.
    """

    adapters: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.adapters or len(set(self.adapters)) < len(self.adapters):
            raise ModelError(f"adapters={self.adapters!r} must be names of attached sets, each once")
        if self.blocks != "all":
            raise ModelError(f"blocks={self.blocks!r}: a fusion goes where its adapters are; leave it at 'all'")

    def uses(self) -> tuple[str, ...]:
        """The fused sets."""
        return self.adapters

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """One wrapper around the adapters of each place."""
        self._check_places(anatomy.model)
        for path, parent in list(anatomy.model.named_modules()):
            for name, child in list(parent.named_children()):
                if self._is_fused(child) and not self._is_fused(parent):  # the outermost at its place
                    yield Site(parent, name, f"{path}.{name}".lstrip(".")), self._fusion(child, generator)

    def _check_places(self, model: nn.Module) -> None:
        first = self.adapters[0]
        for name in self.adapters:
            if _places(model, name) != _places(model, first):
                raise ModelError(f"adapters {name!r} and {first!r} lie in different places of the model")

    def _is_fused(self, module: nn.Module) -> bool:
        return isinstance(module, AdapterLayer) and module.owner in self.adapters

    def _fusion(self, outermost: nn.Module, generator: torch.Generator) -> FusionLayer:
        """The layer to put around the adapters of one place, which lie in each other."""
        found: list[SequentialAdapter] = []
        inner = outermost
        while isinstance(inner, AdapterLayer) and inner.owner in self.adapters:
            if not isinstance(inner, SequentialAdapter) or not isinstance(inner.adapter, Bottleneck):
                raise ModelError(f"{inner.place} has a {type(inner).__name__}: fusion needs bottlenecks after the FFN")
            found.append(inner)
            inner = inner.base_layer
        if len(found) < len(self.adapters):
            raise ModelError(f"other adapters lie between those to fuse at {found[0].place}: attach those last")
        bottleneck = found[0].adapter
        assert isinstance(bottleneck, Bottleneck)
        stored = bottleneck.down.stored
        layer = FusionLayer(outermost, self.adapters, bottleneck.down.in_features, generator)
        for _, module in layer.adapter_modules():
            module.to(stored.device, adapter_dtype(stored))
        return layer


def _places(model: nn.Module, name: str) -> set[str]:
    return {place for place, _ in adapter_sets(model)[name].layers()}


# Shapes: N fused adapters, D width; before them any dimensions of batch and positions.


class FusionLayer(AdapterLayer):
    """The layers of the fused sets that lie directly below, in parallel."""

    def __init__(self, base_layer: nn.Module, fused: tuple[str, ...], width: int, generator: torch.Generator) -> None:
        super().__init__(base_layer)
        self.fused = fused
        self.query = MaskedLinear(width, width, bias=False)
        self.key = MaskedLinear(width, width, bias=False)
        self.value = MaskedLinear(width, width, bias=False)
        with torch.no_grad():
            for linear in (self.query, self.key):
                linear.stored.normal_(0, 0.02, generator=generator)
            nn.init.eye_(self.value.stored)

    def adapted(self, *args: Any, **keywords: Any) -> Tensor:
        """h plus the mixture of the changes by the adapters."""
        enabled: list[SequentialAdapter] = []
        inner = self.base_layer
        while isinstance(inner, SequentialAdapter) and inner.owner in self.fused:
            if inner.enabled:
                enabled.append(inner)
            inner = inner.base_layer
        h_D = inner(*args, **keywords)
        if not enabled:
            return h_D
        z_ND = torch.stack([layer.change(h_D) for layer in enabled], dim=-2)
        scores_N = (self.key(z_ND) @ self.query(h_D).unsqueeze(-1)).squeeze(-1)
        weights_1N = scores_N.softmax(-1).unsqueeze(-2)
        return h_D + (weights_1N @ self.value(z_ND)).squeeze(-2)
