"""The parameters that hold the linear maps to be quantised, each with what its matrices read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ...anatomy import Anatomy
from ...errors import ModelError
from ..linear.expert_linears import linear_maps
from ..linear.linear_map import LinearMap, Part, Source
from .packed.packed_tensor import PackedTensor

# Shapes: N experts, O outputs, I inputs.


@dataclass(eq=False, kw_only=True)
class Target:
    """The parameter `name` of `parent`: a matrix (O, I), or a stack (N, O, I); inputs first where `transposed`.

    `sources`: where the inputs of each matrix are seen (None: nowhere). `hidden`: these are the hidden neurons of an
    expert, which other targets of the block make. `experts`: whose matrices they are, None where there is one alone.
    """

    path: str
    parent: nn.Module
    name: str
    block: int
    part: Part
    transposed: bool
    hidden: bool
    sources: tuple[Source | None, ...]
    experts: tuple[int | None, ...]

    @property
    def weight(self) -> Tensor:
        """The parameter as it is now, (O, I) or (N, O, I): a view without a gradient."""
        weight = getattr(self.parent, self.name).detach()
        return weight.mT if self.transposed else weight

    @property
    def matrices(self) -> tuple[Tensor, ...]:
        """Each matrix (O, I)."""
        weight = self.weight
        if weight.dim() == 3:
            return weight.unbind()
        return (weight,)


def targets_of(anatomy: Anatomy, parts: Sequence[Part]) -> list[Target]:
    """The parameters behind the linear maps of these parts, in the order of the blocks.

    Raises `ModelError` where `linear_maps` does, and for weights that are quantised already, that several maps share,
    are not floating-point, or are NaN or infinite.
    """
    _check_not_packed(anatomy.model)
    owners = dict(_owners(anatomy.model))
    maps: dict[tuple[int, str], list[LinearMap]] = {}
    places: dict[tuple[int, str], tuple[str, nn.Module, str]] = {}
    seen: dict[tuple[int, int], str] = {}
    for one in linear_maps(anatomy, parts):
        other = seen.setdefault((_memory(one.weight), int(one.weight.storage_offset())), one.name)
        if other != one.name:
            raise ModelError(f"{one.name} shares its weights with {other}: give each weights of its own first")
        # Gate and up are parts of one fused parameter, and so are the matrices of all experts: they share memory.
        path, parent, name = owners[_memory(one.weight)]
        key = (id(parent), name)
        places[key] = (path, parent, name)
        maps.setdefault(key, []).append(one)
    targets = []
    for key, members in maps.items():
        targets.append(_target(*places[key], members))
    return targets


def _target(path: str, parent: nn.Module, name: str, members: Sequence[LinearMap]) -> Target:
    value: Tensor = getattr(parent, name)
    _check(value, path)
    first = members[0]
    of_expert: dict[int | None, LinearMap] = {}
    for one in members:
        # Gate and up of an expert read the same.
        of_expert.setdefault(one.expert, one)
    # Along its inputs a map steps through memory as the parameter does along its last dimension, or the one before.
    inputs = first.weight
    transposed = inputs.shape[1] > 1 and inputs.stride(1) != value.stride(-1)
    return Target(
        path=path,
        parent=parent,
        name=name,
        block=first.block,
        part=first.part,
        transposed=transposed,
        hidden=first.role == "down" and value.dim() == 3,
        sources=tuple(one.source for one in of_expert.values()),
        experts=tuple(of_expert),
    )


def _owners(model: nn.Module) -> Iterator[tuple[int, tuple[str, nn.Module, str]]]:
    for path, module in model.named_modules():
        for name, value in module.named_parameters(recurse=False):
            yield _memory(value), (f"{path}.{name}".lstrip("."), module, name)


def _memory(value: Any) -> int:
    return value.untyped_storage()._cdata


def _check_not_packed(model: nn.Module) -> None:
    for name, value in model.named_parameters():
        if isinstance(value, PackedTensor):
            raise ModelError(f"{name} is quantised already: quantise all parts at once, or `dequantise(model)` first")


def _check(value: Tensor, path: str) -> None:
    if not value.is_floating_point():
        raise ModelError(f"{path} holds {value.dtype}, which is not floating-point: nothing to round")
    if not bool(value.isfinite().all()):
        raise ModelError(f"{path} holds NaN or infinite entries: nothing to round")
