"""Places in a model: what lies there, and what is put there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .linear_layers import is_transposed_linear


class Wrapper(nn.Module):
    """A module that stands in the place of another, `base_layer`, and calls it. Describers see through it."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer


_OF_PARAMETERS = "peft.tuners.lora.layer.ParamWrapper"
"""What PEFT puts around a module whose parameters it adapts. By name: PEFT need not be installed."""


def is_wrapper(module: Any) -> bool:
    """Whether describers see through a module to its `base_layer`.

    So they do through a `Wrapper`, and through those of PEFT around the parameters of experts and routers
    (`target_parameters`). Around a linear layer or an embedding one of these stays in sight: what would read or replace
    the layer would lose the adapter, and refuses instead.

    Args:
        module: any module.
    """
    if isinstance(module, Wrapper):
        return True
    if not _wraps_parameter(module):
        return False
    while _wraps_parameter(module):
        module = module.base_layer
    return not (isinstance(module, nn.Linear | nn.Embedding) or is_transposed_linear(module))


def _wraps_parameter(module: Any) -> bool:
    return any(f"{cls.__module__}.{cls.__qualname__}" == _OF_PARAMETERS for cls in type(module).__mro__)


@dataclass(eq=False)
class Site:
    """A place in a model that holds a module or a parameter.

    Attributes:
        parent: the module that holds it.
        name: its name there.
        path: the dotted name from the model that was described; `describe` fills it in.
    """

    parent: nn.Module
    name: str
    path: str = ""

    def __post_init__(self) -> None:
        self.path = self.path or self.name

    def get(self) -> Any:
        """The module (or, for fused expert tensors, the parameter) that lies here now."""
        return getattr(self.parent, self.name)

    def tensor(self) -> Tensor:
        """The parameter that lies here now, or what an adapter puts in its place while it calls the module.

        Raises:
            TypeError: a module lies here.
        """
        value = getattr(self.parent, self.name)
        if not isinstance(value, Tensor):
            raise TypeError(f"{self.path} is a {type(value).__name__}, not a parameter")
        return value

    def replace(self, module: nn.Module) -> None:
        """Put a module here.

        Args:
            module: what stands here from now on.
        """
        setattr(self.parent, self.name, module)

    def keep_rows(self, kept: Tensor) -> None:
        """Cut the parameter or buffer that lies here to these indices of its first dimension (int64)."""
        value = self.get()
        rows = value.detach()[kept.to(value.device)]
        if isinstance(value, nn.Parameter):
            rows = nn.Parameter(rows, requires_grad=value.requires_grad)
        setattr(self.parent, self.name, rows)


def see_through(parent: nn.Module, name: str, path: str = "") -> Site:
    """The site of the original module below any wrappers.

    Args:
        parent: the module that holds it, or what wraps it.
        name: its name there.
        path: dotted path of `parent`, for that of the site.

    Returns:
        The site; that of `parent.name` itself where nothing wraps it.
    """
    site = Site(parent, name, joined(path, name))
    while is_wrapper(site.get()):
        site = Site(site.get(), "base_layer", f"{site.path}.base_layer")
    return site


def inner_sites(module: nn.Module, skip: Collection[nn.Module] = (), path: str = "") -> Iterator[Site]:
    """The sites of all modules below a module with parameters of their own, seen through wrappers, in order.

    Args:
        module: where to start; it is not among them.
        skip: modules that are excluded, with what lies below them.
        path: dotted path of `module` in the model.

    Yields:
        One site after the other.
    """
    for name, _ in module.named_children():
        site = see_through(module, name, path)
        inner = site.get()
        if not any(inner is skipped for skipped in skip):
            if inner._parameters:
                yield site
            yield from inner_sites(inner, skip, site.path)


def head_of(model: nn.Module, body: nn.Module) -> Site | None:
    """The head of a model that holds a body and a head: its last child that is not the body and has parameters.

    Args:
        model: the whole model.
        body: what gives the features; the model itself where it has no head.

    Returns:
        The site of the head; None where there is none.
    """
    if model is body:
        return None
    names = [name for name, child in model.named_children() if child is not body and has_parameters(child)]
    if not names:
        return None
    return see_through(model, names[-1])


def head_at(parent: nn.Module, name: str) -> Site | None:
    """The site of a head, by its name.

    Args:
        parent: the module that holds it.
        name: its name there.

    Returns:
        The site; None where there is no such child, or one without parameters, as in a feature extractor of timm.
    """
    child = getattr(parent, name, None)
    if child is None or not has_parameters(child):
        return None
    return see_through(parent, name)


def branch_sites(block: nn.Module, branches: Iterable[Iterable[str]]) -> tuple[tuple[Site, ...], ...]:
    """What `Block.branches` holds, from the names of children. Wrappers are not seen through.

    Args:
        block: the module of the block.
        branches: for each branch, the names of the block's children in it, in order.

    Returns:
        The sites of each branch.
    """
    found: list[tuple[Site, ...]] = []
    for names in branches:
        found.append(tuple(Site(block, name) for name in names))
    return tuple(found)


def joined(path: str, name: str) -> str:
    """The dotted name of a child of the module at `path`, which is empty for the model itself."""
    if not path:
        return name
    return f"{path}.{name}"


def has_parameters(module: nn.Module) -> bool:
    """Whether a module holds any parameter.

    Args:
        module: any module, with what lies below it.
    """
    return next(module.parameters(), None) is not None
