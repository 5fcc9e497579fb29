"""Make the layers of a model dynamic."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from torch import nn

from ..anatomy import Anatomy, Site, UnknownAnatomy, describe
from ..errors import ModelError
from ..hub.declaration import declare
from .config import DynamicConfig
from .convolution.config import ConvConfig
from .convolution.fd_conv import FrequencyConfig, frequency_convolutions
from .convolution.placing import dynamic_convolutions, named_convolutions
from .convolution.warehouse_config import WarehouseConfig
from .convolution.warehouse_placing import warehouse_convolutions
from .linear.config import MixtureConfig
from .linear.replacement import make_linears_dynamic

Model = TypeVar("Model", bound=nn.Module)
_ATTRIBUTE = "_sparsebench_dynamic"
_MARKS = "_sparsebench_dynamic_blocks"  # on a block: the marks of the configurations that name it


class Made(NamedTuple):
    """How layers of a model were made dynamic: the arguments of `make_dynamic`."""

    config: DynamicConfig
    modules: str | None
    mark: object = None
    """What the blocks that the configuration names are marked with: others may be dropped, and their numbers change."""


def make_dynamic(model: Model, config: DynamicConfig, *, modules: str | None = None) -> Model:
    """Replace layers of a model, in place, by dynamic ones that compute the same at first.

    Every kernel or expert is a copy of the weight that was there (plus `config.noise`); what `WarehouseConfig` says of
    its budget is an exception. The dynamic layers can be trained whether or not what they replace could. Make the
    optimizer afterwards. Conditional convolutions of timm (EfficientNets "cc") stay as they are, which is said by a
    warning: `TimmCondConv()` takes them.

    A model of transformers or timm gets a class of ours, derived from its own, that knows what was done: transformers'
    `save_pretrained` and `push_to_hub` then write a folder that opens again, and timm's savers one that
    `sparsebench.models.load` opens and timm refuses.

    Args:
        model: a model with convolutions, or with linear layers in its FFNs.
        config: the kind of dynamic layer and its options; its class says what is replaced.
        modules: for a `ConvConfig`, a regular expression instead of the blocks: every convolution whose dotted name, or
            that of a module around it, it matches as a whole. The model need not be of a family that is known here.

    Returns:
        The model.

    Raises:
        ModelError: nothing in it can be made dynamic as `config` and `modules` say, a layer is not a plain one, or two
            places share one. The model stays as it was.

    Example: `make_dynamic(timm.create_model("resnet18"), ConvConfig(num_kernels=4))`; of a transformer, whose FFNs then
    have mixtures of linear layers, `make_dynamic(model, MixtureConfig(num_kernels=8, top_k=2))`, whose balance loss
    `moe.aux_loss(model)` gives. By name: `make_dynamic(model, ConvConfig(), modules="layer[34]")`.
    """
    put_dynamic(model, config, modules)
    _say_foreign(model)
    declare(model, "dynamic")
    return model


def put_dynamic(model: nn.Module, config: DynamicConfig, modules: str | None) -> None:
    """What `make_dynamic` does to the layers of a model, whose class stays.

    Args:
        model: as there.
        config: as there.
        modules: as there.

    Raises:
        ModelError: as there.
    """
    if type(config) not in REPLACEMENTS:
        known = ", ".join(sorted(kind.__name__ for kind in REPLACEMENTS))
        raise ModelError(f"make_dynamic takes a {known}, not a {type(config).__name__}")
    mark = object()
    if modules is None:
        _put_in_blocks(model, config)
        _mark_blocks(model, config, mark)
    elif isinstance(config, ConvConfig):
        _put(model, named_convolutions(model, config, modules))
    else:
        raise ModelError(f"modules={modules!r} names convolutions for a ConvConfig, not for a {type(config).__name__}")
    setattr(model, _ATTRIBUTE, (*how_made(model), Made(config, modules, mark)))


def _put_in_blocks(model: nn.Module, config: DynamicConfig) -> None:
    """Raises `UnknownAnatomy` where nobody knows the blocks; what can do without them is said then."""
    try:
        REPLACEMENTS[type(config)](model, config)
    except UnknownAnatomy as error:
        if not isinstance(config, ConvConfig):
            raise
        raise UnknownAnatomy(f"{error}; or name its convolutions by modules=, a regular expression") from error


def _mark_blocks(model: nn.Module, config: DynamicConfig, mark: object) -> None:
    if not isinstance(config.blocks, str):
        for block in describe(model).blocks:
            if block.index in config.blocks:
                module = block.site.get()
                setattr(module, _MARKS, (*getattr(module, _MARKS, ()), mark))


def _make_convolutions_dynamic(
    chosen: Callable[[Anatomy, Any], list[tuple[Site, nn.Module]]], model: nn.Module, config: DynamicConfig
) -> None:
    """Put the layers that `chosen` gives into their sites."""
    _put(model, chosen(describe(model), config))


def _put(model: nn.Module, replaced: list[tuple[Site, nn.Module]]) -> None:
    _check_untied(model, [site for site, _ in replaced])
    for site, layer in replaced:
        site.replace(layer)


REPLACEMENTS: dict[type[DynamicConfig], Callable[[nn.Module, Any], None]] = {
    ConvConfig: partial(_make_convolutions_dynamic, dynamic_convolutions),
    WarehouseConfig: partial(_make_convolutions_dynamic, warehouse_convolutions),
    FrequencyConfig: partial(_make_convolutions_dynamic, frequency_convolutions),
    MixtureConfig: make_linears_dynamic,
}
"""What each kind of configuration does to a model, in place."""


def how_made(model: nn.Module) -> tuple[Made, ...]:
    """How a model was made dynamic, in order. It is copied and pickled with the model."""
    return getattr(model, _ATTRIBUTE, ())


def blocks_now(model: nn.Module, made: Made) -> tuple[int, ...] | str:
    """The `blocks` of a configuration of `how_made` as they are numbered now, without those that were dropped."""
    if isinstance(made.config.blocks, str):
        return made.config.blocks
    found = []
    for block in describe(model).blocks:
        # Among its modules: an adapter may lie around a block.
        if any(made.mark in getattr(module, _MARKS, ()) for module in block.site.get().modules()):
            found.append(block.index)
    return tuple(found)


def _say_foreign(model: nn.Module) -> None:
    """Warn of layers that are dynamic in a form of timm's own."""
    foreign = [name for name, module in model.named_modules() if _is_foreign(module)]
    if foreign:
        warnings.warn(
            f"{len(foreign)} layers of this {type(model).__name__}, as {foreign[0]}, are timm's CondConv2d: dynamic "
            "already, they stay as they are, and partition() and compact() do not see them: for these take "
            "make_dynamic(model, TimmCondConv()) of sparsebench.models.dynamic",
            stacklevel=3,  # of the call of make_dynamic
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
