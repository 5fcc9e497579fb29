"""Make the layers of a model dynamic."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from ..anatomy import Anatomy, Site, describe
from ..errors import ModelError
from .config import DynamicConfig
from .convolution.config import ConvConfig
from .convolution.placing import dynamic_convolutions
from .convolution.warehouse_config import WarehouseConfig
from .convolution.warehouse_placing import warehouse_convolutions
from .linear.config import MixtureConfig
from .linear.replacement import make_linears_dynamic

Model = TypeVar("Model", bound=nn.Module)
_ATTRIBUTE = "_sparsebench_dynamic"

PLANS: dict[type[DynamicConfig], Callable[[Anatomy, Any], list[tuple[Site, nn.Module]]]] = {
    ConvConfig: dynamic_convolutions,
    WarehouseConfig: warehouse_convolutions,
}
"""For each kind of configuration of convolutions, what gives the sites and the layer that comes to each."""


def make_dynamic(model: Model, config: DynamicConfig) -> Model:
    """Replace layers of `model`, in place, by dynamic ones that compute the same at first; return the model.

    Every kernel or expert is a copy of the weight that was there (plus `config.noise`); what `WarehouseConfig` says of
    its budget is an exception. The dynamic layers can be trained whether or not what they replace could. Make the
    optimizer afterwards.

    Conditional convolutions of timm (EfficientNets "cc") stay as they are, which is said by a warning.

    Raises `ModelError`, and leaves the model untouched, when nothing in it can be made dynamic as `config` says, when
    a layer is not a plain one, and when two places share one.

    Example: `make_dynamic(timm.create_model("resnet18"), ConvConfig(num_kernels=4))`; of a transformer, whose FFNs then
    have mixtures of linear layers, `make_dynamic(model, MixtureConfig(num_kernels=8, top_k=2))`, whose balance loss
    `moe.aux_loss(model)` gives.
    """
    if isinstance(config, MixtureConfig):
        make_linears_dynamic(model, config)
        _note(model, config)
        return model
    if type(config) not in PLANS:
        known = ", ".join(sorted(kind.__name__ for kind in (*PLANS, MixtureConfig)))
        raise ModelError(f"make_dynamic takes a {known}, not a {type(config).__name__}")
    plan = PLANS[type(config)](describe(model), config)
    _check_untied(model, [site for site, _ in plan])
    _say_foreign(model)
    for site, layer in plan:
        site.replace(layer)
    _note(model, config)
    return model


def dynamic_configs(model: nn.Module) -> tuple[DynamicConfig, ...]:
    """How a model was made dynamic, in order. It is copied and pickled with the model."""
    return getattr(model, _ATTRIBUTE, ())


def _note(model: nn.Module, config: DynamicConfig) -> None:
    setattr(model, _ATTRIBUTE, (*dynamic_configs(model), config))


def _say_foreign(model: nn.Module) -> None:
    """Warn of layers that are dynamic in a form of timm's own."""
    foreign = [name for name, module in model.named_modules() if _is_foreign(module)]
    if foreign:
        warnings.warn(
            f"{len(foreign)} layers of this {type(model).__name__}, as {foreign[0]}, are timm's CondConv2d: dynamic "
            "already, they stay as they are, and partition() and compact() do not see them",
            stacklevel=3,
        )


def _is_foreign(module: nn.Module) -> bool:
    kind = type(module)
    return kind.__name__ == "CondConv2d" and kind.__module__.startswith("timm.")


def _check_untied(model: nn.Module, sites: list[Site]) -> None:
    """That no other module holds the weight of a layer that goes."""
    holders: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        holders.setdefault(id(parameter), []).append(name)
    for site in sites:
        for parameter in site.get().parameters():
            names = holders[id(parameter)]
            if len(names) > 1:
                raise ModelError(f"{' and '.join(names)} are one tensor: layers that share weights stay static")
