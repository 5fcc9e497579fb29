"""Putting wrappers into a model, taking them out and putting them back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..anatomy import is_wrapper
from ..errors import ModelError
from .layer import AdapterLayer, FrozenNorm

Wrapped = tuple[nn.Module, str, AdapterLayer | FrozenNorm]
"""A module, the name of a child in it, and the wrapper that is or was there."""


def freeze_norms(model: nn.Module) -> None:
    """Keep the running statistics of all batch norms as they are."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(parent, FrozenNorm):
                setattr(parent, name, FrozenNorm(child))


def check_unshared(model: nn.Module, layers: Iterable[AdapterLayer]) -> None:
    """Raise a `ModelError` where a parameter below one of the layers is that of another module, too.

    What is merged into it would change the other module.
    """
    owners: dict[int, list[str]] = {}
    for path, module in model.named_modules():
        for name, value in module.named_parameters(path, recurse=False):
            owners.setdefault(id(value), []).append(name)
    for layer in layers:
        for value in layer.get_base_layer().parameters(recurse=False):
            names = owners.get(id(value), [])
            if len(names) > 1:
                raise ModelError(
                    f"{layer.place} shares a parameter with another module ({' and '.join(names)}), which merging "
                    "would change, too: leave the adapter beside it, or give each one of its own first"
                )


def path_without_wrappers(model: nn.Module, path: str) -> str:
    """A dotted path of a site as it reads in the model without wrappers, also where some came in after it was made."""
    module: Any = model
    hops: list[str] = []
    for hop in path.split("."):
        if is_wrapper(module) and hop == "base_layer":
            module = module.base_layer
            continue
        while is_wrapper(module):
            module = module.base_layer
        hops.append(hop)
        module = getattr(module, hop)
    return ".".join(hops)


def wrap(gone: list[Wrapped]) -> bool:
    """Put back what `unwrap` took; False, and nothing changed, where something else has come into a place."""
    done: list[Wrapped] = []
    for parent, name, wrapper in reversed(gone):
        if getattr(parent, name) is not wrapper.base_layer:
            _undo(done)
            return False
        setattr(parent, name, wrapper)
        done.append((parent, name, wrapper))
    return True


def unwrap(model: nn.Module, which: Callable[[nn.Module], bool]) -> list[Wrapped]:
    """Put the base layer of each wrapper that is meant in its place; gives back where each of them was."""
    places: list[tuple[nn.Module, str]] = []
    for parent in model.modules():
        for name, _ in parent.named_children():
            places.append((parent, name))
    found: list[Wrapped] = []
    # The innermost first: where one of these lies directly in another, the outer one then gives the original module.
    for parent, name in reversed(places):
        child = getattr(parent, name)
        if which(child):
            setattr(parent, name, child.base_layer)
            found.append((parent, name, child))
    found.reverse()
    return found


def _undo(done: list[Wrapped]) -> None:
    for parent, name, wrapper in reversed(done):
        setattr(parent, name, wrapper.base_layer)
