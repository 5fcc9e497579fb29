"""Kinds that say by regular expressions of module names where they go; they need no anatomy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..anatomy import Anatomy, Site, see_through
from ..errors import ModelError
from .config import AdapterConfig
from .layer import AdapterLayer


@dataclass(frozen=True, kw_only=True)
class NamedConfig(AdapterConfig):
    """Base of kinds that name the modules that they go on. A subclass says in `around` what is put around one.

    Attributes:
        modules: regular expressions; each has to match the whole name of a module, or its end after a dot, of one
            module at least. Names are those of the model without wrappers.
        heads: names of the modules that train too, where the model has no anatomy that says which its heads are.
    """

    modules: tuple[str, ...]
    heads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks != "all":
            raise ModelError(f"blocks={self.blocks!r}: modules are chosen by their names here, say the blocks in those")
        for field in ("modules", "heads"):
            if isinstance(getattr(self, field), str):
                raise ModelError(f"{field}={getattr(self, field)!r} must be a tuple of expressions, in brackets")

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """What `around` gives for each of the modules."""
        # What lies inside comes first: a path leads to it until something lies around it.
        for name, site in reversed(list(self.sites(anatomy, self.modules))):
            yield site, self.around(site, name, generator)

    def around(self, site: Site, name: str, generator: torch.Generator) -> AdapterLayer:
        """The layer to put around what lies at a site, whose name without wrappers is `name`."""
        raise NotImplementedError(f"{type(self).__name__} must implement around or place")

    def sites(self, anatomy: Anatomy, patterns: Sequence[str]) -> Iterator[tuple[str, Site]]:
        """Names and sites that the patterns match, in the order of the model; none of them twice.

        Args:
            anatomy: the model.
            patterns: as `modules`.

        Raises:
            ModelError: an expression that is none or matches nothing, or one that matches a head that trains, or what
                another module shares.
        """
        trained: list[nn.Module] = []
        if self.train_head:
            trained = [head.get() for head in anatomy.heads]
        owners = _owners(anatomy.model)
        for name, site in sites_named(anatomy.model, patterns):
            if any(site.get() is head for head in trained):
                raise ModelError(f"{name} is a head, which trains as a whole: leave it out, or set train_head=False")
            _check_alone(name, site, owners)
            yield name, site


def sites_named(model: nn.Module, patterns: Sequence[str]) -> list[tuple[str, Site]]:
    """The modules whose names match one of several regular expressions, with what they match.

    Args:
        model: any model, with or without adapters.
        patterns: each matches a whole name or its end after a dot, and at least one module.

    Returns:
        Names without wrappers and sites below all wrappers, in order.

    Raises:
        ModelError: an expression that is none, or that matches no module.
    """
    compiled = {pattern: _compiled(pattern) for pattern in patterns}
    unused = set(patterns)
    found: list[tuple[str, Site]] = []
    for name, site in _all_sites(model, "", ""):
        matching = {pattern for pattern, expression in compiled.items() if expression.fullmatch(name)}
        unused -= matching
        if matching:
            found.append((name, site))
    if unused:
        raise ModelError(f"no module of this {type(model).__name__} has a name that {sorted(unused)[0]!r} matches")
    return found


def _owners(model: nn.Module) -> dict[int, list[str]]:
    """The names of the modules in which each parameter is, by its identity; of one module in two places both names."""
    found: dict[int, list[str]] = {}
    for name, site in _all_sites(model, "", ""):
        for parameter in site.get()._parameters.values():
            if parameter is not None:
                found.setdefault(id(parameter), []).append(name)
    return found


def _check_alone(name: str, site: Site, owners: Mapping[int, list[str]]) -> None:
    """Raise a `ModelError` for a module whose parameters another place of the model has too."""
    for parameter in site.get()._parameters.values():
        others = [other for other in owners.get(id(parameter), []) if other != name]
        if others:
            raise ModelError(
                f"{name} shares its weight with {others[0]}: an adapter would act in one of the two only, and merging "
                "it would change both"
            )


def exactly(name: str) -> str:
    """The expression that matches the module of this name alone."""
    return rf"\A{re.escape(name)}"


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(rf"(?:.*\.)?(?:{pattern})")
    except re.error as error:
        raise ModelError(f"{pattern!r} is no regular expression: {error}") from error


def _all_sites(module: nn.Module, name: str, path: str) -> Iterator[tuple[str, Site]]:
    """Every module below another: its name without wrappers, and its site below them, with the path that this has."""
    # Not `named_children`, which gives a module that has two names once.
    for child, inner in module._modules.items():
        if inner is None:
            continue
        below = f"{name}{child}"
        site = see_through(module, child, path)
        yield below, site
        yield from _all_sites(site.get(), f"{below}.", site.path)
