"""Models whose parameters, not modules, PEFT adapts: experts and routers (`target_parameters`, and "all-linear")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_WRAPPER = "peft.tuners.lora.layer.ParamWrapper"
"""By name: PEFT need not be installed."""


@contextmanager
def parameters_unwrapped(model: nn.Module) -> Iterator[None]:
    """Take PEFT's wrappers of parameters out of a model while it is looked at, for what has to know experts or routers.

    Hooks that are registered meanwhile stay: the wrappers call the modules within. Do not run the model in here, it
    would run without these adapters.

    Args:
        model: any model; one without such wrappers is left alone.

    Example::

        with ExitStack() as stack:
            with parameters_unwrapped(model):
                probe = stack.enter_context(routing_probe(model))
            model(**batch)
    """
    taken: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if _wraps_parameter(child) and not _wraps_parameter(parent):
                    taken.append((parent, name, child))
                    setattr(parent, name, _within(child))
        yield
    finally:
        for parent, name, child in taken:
            setattr(parent, name, child)


def _within(module: Any) -> nn.Module:
    while _wraps_parameter(module):
        module = module.base_layer
    return module


def _wraps_parameter(module: nn.Module) -> bool:
    return any(f"{cls.__module__}.{cls.__qualname__}" == _WRAPPER for cls in type(module).__mro__)
