"""Every linear map of a model's experts, whatever holds it, and of other parts when they are asked for.

Fused experts of transformers 5, GPT-OSS's transposed and interleaved ones, experts in lists and our own banks look the
same from here. A walk over `nn.Linear` finds none of the fused ones, and a walk over names takes the router for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import (
    Anatomy,
    Attention,
    Block,
    Experts,
    ExpertWeights,
    LinearView,
    ListedExperts,
    Site,
    check_own_weight,
    describe,
    has_linear_view,
    inner_sites,
    linear_view,
    see_through,
)
from ...errors import ModelError, check_choice
from .linear_map import PARTS, LinearMap, Part, Source

# Shapes: R rows (tokens) of an expert, D width, F hidden neurons.


@runtime_checkable
class FusedFFNs(Protocol):
    """FFNs stacked in one module, all of which every token passes when it is called with x alone (a shared bank)."""

    sizes: tuple[int, ...]

    def weights(self, expert: int) -> ExpertWeights:
        """Views of the weights of one."""
        ...

    def activate(self, gate_RM: Tensor | None, up_RM: Tensor) -> Tensor:
        """Input of the down projection, from the outputs of gate, if there is one, and up."""
        ...


def linear_maps(model: nn.Module | Anatomy, parts: Sequence[Part] = ("experts",)) -> list[LinearMap]:
    """The linear maps of parts of a model: block by block, each in the order of computation.

    Args:
        model: a model, or its anatomy.
        parts: "experts", "shared", "attention", "ffn", "router".

    Returns:
        A view of each map, of weights (outputs, inputs) in whatever layout they lie.

    Raises:
        ModelError: a part that is unknown, that the model has nowhere, or that has no linear maps to view
            (convolutions, attention experts, quantised layers); the message names it.
        UnknownAnatomy: no describer knows the model.
    """
    for part in parts:
        check_choice("parts", part, PARTS)
    anatomy = model if isinstance(model, Anatomy) else describe(model)
    uncalled = {(id(site.parent), site.name) for site in anatomy.uncalled}
    maps: list[LinearMap] = []
    for block in anatomy.blocks:
        for part in PARTS:
            if part in parts:
                maps += _READERS[part](block, uncalled)
    _check_found(anatomy, parts, maps)
    return maps


def _check_found(anatomy: Anatomy, parts: Sequence[Part], maps: Sequence[LinearMap]) -> None:
    found = {one.part for one in maps}
    missing = [part for part in PARTS if part in parts and part not in found]
    if not parts or missing:
        what = ", ".join(missing) or "nothing"
        raise ModelError(f"{type(anatomy.model).__name__} has no linear maps of: {what}; parts are {', '.join(PARTS)}")


Uncalled = set[tuple[int, str]]
"""Sites, as (parent, name), whose modules are never called."""


def _attention(block: Block, uncalled: Uncalled) -> Iterator[LinearMap]:
    attention = block.attention
    if attention is None:
        return
    if not attention.linears:
        raise ModelError(
            f"{attention.site.path} has no linear maps of its own (attention experts?): leave attention out"
        )
    for role, site in _attention_roles(attention):
        yield _of_site(block, "attention", role, site, uncalled)


def _attention_roles(attention: Attention) -> Iterator[tuple[str, Site]]:
    named = {id(getattr(attention, role)): role for role in ("q", "k", "v", "qkv", "o")}
    for site in attention.linears:
        yield named.get(id(site), site.name), site


def _ffn(block: Block, uncalled: Uncalled) -> Iterator[LinearMap]:
    mlp = block.mlp
    if mlp is None or mlp.kind == "moe":
        return
    if mlp.kind == "conv":
        raise ModelError(f"{mlp.site.path} is a convolutional unit, which has no linear maps")
    roles = {"gate": mlp.gate, "up": mlp.up, "gate_up": mlp.gate_up, "down": mlp.down}
    for role, site in roles.items():
        if site is not None:
            yield _of_site(block, "ffn", role, site, uncalled)


def _router(block: Block, uncalled: Uncalled) -> Iterator[LinearMap]:
    """The matrices of a router; those that do not read its input (a second layer) have no source."""
    if block.mlp is None or block.mlp.experts is None:
        return
    site = block.mlp.experts.router
    source = Source(site.path, site)
    for name, parameter in site.get().named_parameters():
        if parameter.ndim == 2:
            reads_input = parameter.shape[1] == block.mlp.width
            yield LinearMap(
                name=f"{site.path}.{name}",
                block=block.index,
                part="router",
                role=name,
                read=partial(_parameter, site, name),
                source=source if reads_input else None,
            )


def _experts(block: Block, uncalled: Uncalled) -> Iterator[LinearMap]:
    experts = None if block.mlp is None else block.mlp.experts
    if experts is None:
        return
    if isinstance(experts, ListedExperts):
        yield from _listed(block, experts)
        return
    if experts.module is None:
        raise ModelError(f"the experts at {experts.router.path} are not called with (x, index, weight)")
    for expert in range(experts.num_experts):
        yield from _fused_ffn(block, "experts", experts.module, expert, experts.weights, experts.hidden, routed=True)


def _listed(block: Block, experts: ListedExperts) -> Iterator[LinearMap]:
    container = experts.container
    for expert, (name, member) in enumerate(container.get().named_children()):
        for role, inner in zip(("gate", "up", "down"), experts.names, strict=True):
            if inner is not None:
                path = f"{container.path}.{name}.{inner}"
                site = see_through(member, inner)
                site.path = path
                yield LinearMap(
                    name=path,
                    block=block.index,
                    part="experts",
                    role=role,
                    read=partial(_linear, site, path),
                    source=Source(path, site),
                    expert=expert,
                )


def _shared(block: Block, uncalled: Uncalled) -> Iterator[LinearMap]:
    experts: Experts | None = None if block.mlp is None else block.mlp.experts
    if experts is None or experts.shared is None:
        return
    site = experts.shared
    module: Any = site.get()
    if isinstance(module, FusedFFNs):
        for place in range(len(module.sizes)):
            hidden = partial(_hidden, module)
            yield from _fused_ffn(block, "shared", site, place, module.weights, hidden, routed=False)
        return
    inner = tuple(inner_sites(module, path=site.path))
    for linear in inner:
        if has_linear_view(linear.get()):
            yield _of_site(block, "shared", linear.name, linear, uncalled)
    if not any(has_linear_view(linear.get()) for linear in inner):
        raise ModelError(f"{site.path} is a {type(module).__name__}, whose linear maps nothing can name")


def _fused_ffn(
    block: Block,
    part: Part,
    site: Site,
    place: int,
    weights: Callable[[int], ExpertWeights],
    hidden: Callable[[int, Tensor], Tensor],
    *,
    routed: bool,
) -> Iterator[LinearMap]:
    """Gate, up and down of one of the FFNs that the module at `site` holds."""
    path = f"{site.path}[{place}]"
    expert = place if routed else None
    outer = Source(f"{path} in", site, expert)
    inner = Source(f"{path} hidden", site, expert, partial(hidden, place))
    for role, source in (("gate", outer), ("up", outer), ("down", inner)):
        if getattr(weights(place), role) is not None:
            yield LinearMap(
                name=f"{path}.{role}",
                block=block.index,
                part=part,
                role=role,
                read=partial(_expert, weights, place, role),
                source=source,
                expert=place,
            )


def _of_site(block: Block, part: Part, role: str, site: Site, uncalled: Uncalled) -> LinearMap:
    _linear(site, site.path)  # refuses what is quantised, before anything is done
    called = (id(site.parent), site.name) not in uncalled
    return LinearMap(
        name=site.path,
        block=block.index,
        part=part,
        role=role,
        read=partial(_linear, site, site.path),
        source=Source(site.path, site) if called else None,
    )


def _linear(site: Site, path: str) -> LinearView:
    module = site.get()
    found = linear_view(module, path, "compression")
    check_own_weight(module, path)
    return found


def _parameter(site: Site, name: str) -> LinearView:
    return LinearView(site.get().get_parameter(name), None)


def _expert(weights: Callable[[int], ExpertWeights], place: int, role: str) -> LinearView:
    found = weights(place)
    return LinearView(getattr(found, role), getattr(found, f"{role}_bias"))


def _hidden(module: FusedFFNs, place: int, x_RD: Tensor) -> Tensor:
    """Input of the down projection of one of the FFNs of a shared bank, (R, F)."""
    own = module.weights(place)
    gate_RF = None if own.gate is None else F.linear(x_RD, own.gate, own.gate_bias)
    return module.activate(gate_RF, F.linear(x_RD, own.up, own.up_bias))


_READERS: dict[Part, Callable[[Block, Uncalled], Iterable[LinearMap]]] = {
    "attention": _attention,
    "ffn": _ffn,
    "router": _router,
    "experts": _experts,
    "shared": _shared,
}
