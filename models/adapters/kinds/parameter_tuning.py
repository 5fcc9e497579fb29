"""BitFit and norm tuning: some of the model's own parameters, as trainable copies of the frozen ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...anatomy import Anatomy, Site, Wrapper
from ...errors import ModelError
from ..config import AdapterConfig
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer, FrozenNorm
from ..sites import backbone_sites, is_norm, wrappers_over


@dataclass(frozen=True, kw_only=True)
class TunedConfig(AdapterConfig):
    """Base of kinds that train parameters of the backbone itself, as copies: the frozen ones stay as they are.

    With `blocks`="all" the whole model but its head takes part, else everything from the first of these blocks on.
    Where two enabled sets hold the same parameter, the older one's copy counts: disable it to use the newer one.
    """

    def names(self, module: nn.Module) -> tuple[str, ...]:
        """The direct parameters of a module that are tuned."""
        raise NotImplementedError(f"{type(self).__name__} must implement names")

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A wrapper around each module that has such parameters.

        Args:
            anatomy: the model.
            generator: draws nothing here.

        Raises:
            ModelError: no module has any.
        """
        found = False
        for site in backbone_sites(anatomy, self):
            names = self.names(site.get())
            if names:
                found = True
                yield site, TunedLayer(site.get(), names)
        if not found:
            raise ModelError(f"{type(self).__name__}: {type(anatomy.model).__name__} {_CURES[type(self).__name__]}")


@dataclass(frozen=True, kw_only=True)
class BitFitConfig(TunedConfig):
    """Train all parameters named bias, also those of norms (Ben Zaken et al., arXiv 2106.10199); none is created."""

    def names(self, module: nn.Module) -> tuple[str, ...]:
        """The bias, if there is one."""
        if module._parameters.get("bias") is None:
            return ()
        return ("bias",)


@dataclass(frozen=True, kw_only=True)
class NormTuningConfig(TunedConfig):
    """Train weights and biases of all norms: layer, RMS (a weight only), group and batch norms."""

    def names(self, module: nn.Module) -> tuple[str, ...]:
        """Weight and bias of a norm."""
        if not is_norm(module):
            return ()
        return tuple(name for name in ("weight", "bias") if module._parameters.get(name) is not None)


_CURES = {
    "BitFitConfig": "has no biases there: use NormTuningConfig or LoRAConfig",
    "NormTuningConfig": "has no norms with weights there: use BitFitConfig or LoRAConfig",
}


class Reparametrised(AdapterLayer):
    """A module called with other values of its own parameters; several of these act from the inside out."""

    linear = True

    def changed(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The values that this layer changes, from those of all parameters so far."""
        raise NotImplementedError(f"{type(self).__name__} must implement changed")

    def adapted(self, *args: Any, **keywords: Any) -> Any:
        """The output of `base_layer` with the other values."""
        layers: list[Reparametrised] = [self]
        inner: nn.Module = self.base_layer
        while isinstance(inner, (Reparametrised, FrozenNorm)):
            if isinstance(inner, Reparametrised) and inner.enabled:
                layers.append(inner)
            inner = inner.base_layer
        frozen = _parameters(self.get_base_layer())
        changed: dict[str, Tensor] = {}
        for layer in reversed(layers):
            changed |= layer.changed(frozen | changed)
        hops = _hops(inner)  # wrappers of other kinds may lie between these layers and the parameters
        values = {f"{hops}{name}": value.to(frozen[name].dtype) for name, value in changed.items()}
        return functional_call(inner, values, args, keywords)

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """Write the values into `base_layer`."""
        parameters = _parameters(base_layer)
        for name, value in self.changed(parameters).items():
            parameters[name].copy_(value)


class TunedLayer(Reparametrised):
    """A module with trainable copies of some of its parameters, in `adapter_dtype`."""

    def __init__(self, base_layer: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__(base_layer)
        frozen = _parameters(base_layer)
        self.tuned = nn.ParameterDict()
        for name in sorted(names):
            value = frozen[name].detach()
            self.tuned[name] = nn.Parameter(value.to(adapter_dtype(value), copy=True))

    def changed(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The copies."""
        return dict(self.tuned.items())


def check_untuned(model: nn.Module, site: Site) -> None:
    """Raise `ModelError` for a kind that merges into parameters which an older set replaces by its own."""
    for wrapper in wrappers_over(model, site):
        if isinstance(wrapper, TunedLayer):
            raise ModelError(
                f"{site.path}: adapters {wrapper.owner!r} hold its {', '.join(wrapper.tuned)}: "
                "attach this kind before them, or merge them first"
            )


def _parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module._parameters.items() if value is not None}


def _hops(module: nn.Module) -> str:
    """The dotted way from a wrapper down to the module below all of them."""
    hops = ""
    while isinstance(module, Wrapper):
        module = module.base_layer
        hops += "base_layer."
    return hops
