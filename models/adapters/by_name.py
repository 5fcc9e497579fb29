"""Attach adapters to models of which no anatomy is known, by the names of their modules."""

from __future__ import annotations

from contextvars import ContextVar

from torch import nn

from ..anatomy import Anatomy, Site, UnknownAnatomy, describe, register_describer, unwrapped
from ..errors import ModelError
from .adapter_set import AdapterSet
from .attachment import attach
from .config import AdapterConfig, CombinedConfig
from .kinds.by_name import ByNameConfig
from .named import NamedConfig, sites_named

__all__ = ["ByNameConfig", "attach_by_name"]

_flat_now: ContextVar[Anatomy | None] = ContextVar("_flat_now", default=None)


def attach_by_name(model: nn.Module, config: AdapterConfig, name: str = "default") -> AdapterSet:
    """As `attach`, but the model needs no anatomy: its heads are those that the configuration names.

    Args:
        model: any model; wrappers of all of it are seen through.
        config: a `NamedConfig`, or a `CombinedConfig` of such.
        name: the name of the set, which no other set of the model has.

    Returns:
        The set, attached.

    Raises:
        ModelError: a kind that needs an anatomy which is not known, names that match nothing, or adapters of this name.
            The model stays as it was.

    Example::

        adapters = attach_by_name(model, ByNameConfig(modules=(r"stage\\d+.proj",), adapter=LoRAConfig(r=4)))
    """
    model = unwrapped(model)
    try:
        describe(model)
    except UnknownAnatomy:
        heads = _heads(config)
    else:
        return attach(model, config, name)
    token = _flat_now.set(_flat(model, heads))
    try:
        return attach(model, config, name)
    finally:
        _flat_now.reset(token)


def _heads(config: AdapterConfig) -> tuple[str, ...]:
    """The names of heads. Raises `UnknownAnatomy` for a kind that does not go by names."""
    if isinstance(config, NamedConfig):
        return config.heads
    if isinstance(config, CombinedConfig):
        heads: dict[str, None] = {}
        for part in config.parts:
            heads |= dict.fromkeys(_heads(part))
        return tuple(heads)
    raise UnknownAnatomy(
        f"no describer knows this model, and {type(config).__name__} needs to know its blocks: choose modules by name, "
        "ByNameConfig(modules=(...), adapter=...), or register a describer"
    )


def _flat(model: nn.Module, heads: tuple[str, ...]) -> Anatomy:
    """A view without blocks: heads, and the layers that attentions of torch read and do not call."""
    named = tuple(site for _, site in sites_named(model, heads))
    nested = {id(module) for site in named for module in site.get().modules() if module is not site.get()}
    if any(id(site.get()) in nested for site in named):
        raise ModelError(f"heads={heads!r} names modules that lie in one another: name the outer one")
    uncalled: list[Site] = []
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            uncalled.append(Site(module, "out_proj"))
    return Anatomy(model=model, blocks=(), width=0, further_heads=named, uncalled=tuple(uncalled))


def _is_attached_now(model: nn.Module) -> bool:
    flat = _flat_now.get()
    return flat is not None and flat.model is model


def _view(model: nn.Module) -> Anatomy:
    flat = _flat_now.get()
    assert flat is not None and flat.model is model
    return flat


register_describer(_is_attached_now, _view)
