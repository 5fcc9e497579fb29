"""VeRA: one pair of random matrices for the whole model, scaled by vectors of each layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Anatomy, Site, has_linear_view, linear_view
from ...errors import ModelError, check_whole
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..named import NamedConfig
from ..shared import Shared

# Shapes: O outputs, I inputs, R rank.


@dataclass(frozen=True, kw_only=True)
class VeRAConfig(NamedConfig):
    """y = W x + b * (B (d * (A x))) with A, B random, frozen and shared (Kopiczko et al., arXiv 2310.11454).

    A and B have the sizes of the widest layer; a layer reads the first columns of A and the first rows of B. Both are
    U(-1, 1) sqrt(6 / fan_in), by `seed`, and are saved: another version of the random numbers gives others. d starts at
    `d_initial`, b at 0, so the model starts unchanged. out + r parameters a layer.

    Attributes:
        r: rank of A and B.
        d_initial: what d starts from.
        dropout: on A's input, in training.
    """

    r: int = 256
    d_initial: float = 0.1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("r", self.r)

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A wrapper around each of these linear layers."""
        found = list(self.sites(anatomy, self.modules))
        for name, site in found:
            if not has_linear_view(site.get()):
                raise ModelError(f"{name} is a {type(site.get()).__name__}: VeRA goes on linear layers")
        if not found:
            return
        projections = Projections(self.r, [linear_view(site.get()).weight for _, site in found], generator)
        for _, site in found:
            yield site, VeRALayer(site.get(), projections, self)


class Projections(Shared):
    """A (r, most inputs) and B (most outputs, r): buffers, which nothing trains."""

    A: Tensor
    B: Tensor

    def __init__(self, r: int, weights: Sequence[Tensor], generator: torch.Generator) -> None:
        super().__init__()
        like = weights[0]
        inputs = max(weight.shape[1] for weight in weights)
        outputs = max(weight.shape[0] for weight in weights)
        for name, shape in (("A", (r, inputs)), ("B", (outputs, r))):
            bound = math.sqrt(3) * (math.sqrt(2) / math.sqrt(shape[1]))
            values = torch.empty(shape).uniform_(-bound, bound, generator=generator)
            self.register_buffer(name, values.to(like.device, adapter_dtype(like)))

    def _is_in(self, destination: dict[str, Any]) -> bool:
        other = destination.get(f"{self._written_as}A")
        return other is not None and self.A.is_set_to(other)


class VeRALayer(AdapterLayer):
    """A linear layer with `d` (r,), `b` (out,) and the projections of the model."""

    linear = True
    additive = True

    def __init__(self, base_layer: nn.Module, projections: Projections, config: VeRAConfig) -> None:
        super().__init__(base_layer)
        weight_OI = linear_view(base_layer).weight
        self.outputs, self.inputs = weight_OI.shape
        self.projections = projections
        self.dropout = nn.Dropout(config.dropout)
        options: dict[str, Any] = {"device": weight_OI.device, "dtype": adapter_dtype(weight_OI)}
        self.d = nn.Parameter(torch.full((config.r,), config.d_initial, **options))
        self.b = nn.Parameter(torch.zeros(self.outputs, **options))

    def adapted(self, x: Tensor) -> Tensor:
        """The output with the update, which is computed in the precision of the adapter."""
        y = self.base_layer(x)
        a_RI = self.projections.A[:, : self.inputs]
        b_OR = self.projections.B[: self.outputs]
        low = F.linear(self.dropout(x.to(self.d.dtype)), a_RI)
        return (y + self.b * F.linear(self.d * low, b_OR)).to(y.dtype)

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """W <- W + (b B) (d A), in the precision of the adapter."""
        weight_OI = linear_view(base_layer, self.place).weight
        a_RI = self.d[:, None] * self.projections.A[:, : self.inputs]
        b_OR = self.b[:, None] * self.projections.B[: self.outputs]
        weight_OI.copy_(weight_OI.to(a_RI.dtype) + b_OR @ a_RI)
