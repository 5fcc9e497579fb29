"""Which describer knows a model: those of other libraries by the class they serve, and registered ones."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.nn import DataParallel
from torch.nn.parallel import DistributedDataParallel

from ..errors import ModelError
from .views import Anatomy, Block


class UnknownAnatomy(ModelError):  # noqa: N818 - reads as what it says
    """No describer knows this model."""


Describer = Callable[[nn.Module], Anatomy]
_registered: list[tuple[Callable[[nn.Module], bool], Describer]] = []
_listeners: list[set[str]] = []


def register_describer(which: type[nn.Module] | Callable[[nn.Module], bool], describer: Describer) -> None:
    """Teach `describe` a new kind of model. The newest registration wins.

    Args:
        which: the class of the models (those derived from it included), or a predicate of a model.
        describer: makes the anatomy of such a model.
    """
    matches = partial(_is_instance, which) if isinstance(which, type) else which
    _registered.insert(0, (matches, describer))


def describe(model: nn.Module) -> Anatomy:
    """The anatomy of a model, or of the one within wrappers of all of it (`unwrapped`), from which its paths count.

    Args:
        model: a model of a family in `describers/`, or of a kind that `register_describer` was told of.

    Raises:
        UnknownAnatomy: no describer knows it.
    """
    model = unwrapped(model)
    describer = _describer_of(model)
    if describer is None:
        raise UnknownAnatomy(f"no describer knows {type(model).__module__}.{type(model).__name__}; {_advice(model)}")
    for used in _listeners:
        used.add(getattr(describer, "__module__", type(describer).__module__))
    anatomy = describer(model)
    for block in anatomy.blocks:
        _without_removed(block)
    _bind_experts(anatomy)
    anatomy.name_sites()
    return anatomy


def _advice(model: nn.Module) -> str:
    name = type(model).__name__
    if type(model).__module__.startswith("torch."):
        return "it is a part of torch, not a model with blocks: give the whole model"
    return f"register one: sparsebench.models.anatomy.register_describer({name}, describe_{name.lower()})"


def unwrapped(model: nn.Module) -> Any:
    """The model within what wraps all of it: PEFT, `torch.compile`, `DistributedDataParallel`, `DataParallel`.

    Args:
        model: a model, wrapped any number of times, or not at all.
    """
    inner = _within(model)
    while inner is not None:
        model = inner
        inner = _within(model)
    return model


def _within(model: Any) -> nn.Module | None:
    if isinstance(model, (DataParallel, DistributedDataParallel)):
        return model.module
    # By name: to import the compiler takes a second, and PEFT need not be installed.
    classes = {f"{cls.__module__}.{cls.__qualname__}" for cls in type(model).__mro__}
    if "torch._dynamo.eval_frame.OptimizedModule" in classes:
        return model._orig_mod
    if "peft.mixed_model.PeftMixedModel" in classes:
        return model.base_model.model
    if "peft.peft_model.PeftModel" in classes:
        return model.get_base_model()
    return None


@contextmanager
def used_describers() -> Iterator[set[str]]:
    """Collects, while it is open, the names of the Python modules whose describers `describe` calls."""
    used: set[str] = set()
    _listeners.append(used)
    try:
        yield used
    finally:
        _listeners[:] = [listener for listener in _listeners if listener is not used]


def _is_instance(cls: type[nn.Module], model: nn.Module) -> bool:
    return isinstance(model, cls)


def _describer_of(model: nn.Module) -> Describer | None:
    for matches, describer in _registered:
        if matches(model):
            return describer
    for cls in type(model).__mro__:
        describer = _built_in().get(f"{cls.__module__}.{cls.__qualname__}")
        if describer is not None:
            return describer
    return None


@functools.cache
def _built_in() -> Mapping[str, Describer]:
    """The describers of `describers/` by the full name of each class that they serve."""
    found: dict[str, Describer] = {}
    package = importlib.import_module("..describers", __package__)
    for info in pkgutil.iter_modules(package.__path__):
        family = importlib.import_module(f"..describers.{info.name}", __package__)
        for name in family.SERVES:
            if name in found:
                raise ValueError(f"both {found[name].__module__} and {family.__name__} serve {name}")
            found[name] = family.describe
    return found


def _without_removed(block: Block) -> None:
    """Drop stand-ins of removed parts, and the identities in the place of their norms, from the view."""
    gone = False
    if block.mlp is not None and block.mlp.kind == "removed":
        block.mlp = None
        gone = True
    if block.attention is not None and block.attention.removed:
        block.attention = None
        gone = True
    if gone:
        block.norms = tuple(norm for norm in block.norms if not isinstance(norm.get(), nn.Identity))
        block.shared_norms = tuple(norm for norm in block.shared_norms if norm in block.norms)


def _bind_experts(anatomy: Anatomy) -> None:
    """Let experts know the model and its configuration, which hold numbers of experts too."""
    model = anatomy.model
    holders = [module for module in (model, getattr(model, "base_model", None)) if module is not None]
    configs = [getattr(holder, "config", None) for holder in holders]
    for block in anatomy.blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            experts = block.mlp.experts
            experts.holders = (*experts.holders, *holders, *(config for config in configs if config is not None))
