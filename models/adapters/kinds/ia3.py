"""IA3: a factor for every output, or every input, of linear layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Site, has_linear_view, linear_view
from ...errors import ModelError
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..named import NamedConfig


@dataclass(frozen=True, kw_only=True)
class IA3Config(NamedConfig):
    """y = l * (W x + b) on `modules`, y = W (l * x) + b on `inputs` (Liu et al., arXiv 2205.05638).

    l starts at 1, so the model starts unchanged. In the paper: keys and values by their outputs, the second matrix of
    the FFN by its inputs.

    Attributes:
        inputs: as `modules`: the layers whose inputs are multiplied.
    """

    modules: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.modules and not self.inputs:
            raise ModelError("IA3Config needs modules, whose outputs it multiplies, or inputs")

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A wrapper around each of these layers."""
        for name, site in self.sites(anatomy, self.modules):
            yield site, _wrapped(site, name, of_inputs=False)
        for name, site in self.sites(anatomy, self.inputs):
            yield site, _wrapped(site, name, of_inputs=True)


def _wrapped(site: Site, name: str, *, of_inputs: bool) -> AdapterLayer:
    module = site.get()
    if not has_linear_view(module):
        raise ModelError(f"{name} is a {type(module).__name__}: IA3 goes on linear layers")
    weight = linear_view(module).weight
    size = weight.shape[int(of_inputs)]
    factor = torch.ones(size, device=weight.device, dtype=adapter_dtype(weight))
    return IA3Layer(module, factor, of_inputs=of_inputs)


class IA3Layer(AdapterLayer):
    """l * base_layer(x) with l (out,), or base_layer(l * x) with l (in,), for a linear layer."""

    linear = True

    def __init__(self, base_layer: nn.Module, factor: Tensor, *, of_inputs: bool) -> None:
        super().__init__(base_layer)
        self.factor = nn.Parameter(factor)
        self.of_inputs = of_inputs

    def adapted(self, x: Tensor) -> Tensor:
        """The output with the factors, in the dtype that the layer gives."""
        if self.of_inputs:
            return self.base_layer((x * self.factor).to(x.dtype))
        y = self.base_layer(x)
        return (y * self.factor).to(y.dtype)

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """Multiply columns of the weight, or its rows and the bias."""
        view = linear_view(base_layer, self.place)
        if self.of_inputs:
            view.weight.copy_(view.weight * self.factor)
            return
        view.weight.copy_(view.weight * self.factor[:, None])
        if view.bias is not None:
            view.bias.copy_(view.bias * self.factor)
