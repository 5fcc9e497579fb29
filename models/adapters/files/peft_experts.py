"""PEFT's LoRA on fused parameters of experts (`target_parameters`): which tensors of a file belong to which of them.

PEFT puts one wrapper around the module for each of its parameters, the later parameters further outside, and names the
tensors of an inner wrapper by the path through those around it: `experts.lora_A`, `experts.base_layer.lora_A`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from ...anatomy import Anatomy
from ...errors import ModelError
from ..kinds.expert_lora import ExpertLoRALayer, Stack, stacks
from ..wrapping import path_without_wrappers

_INNER = ".base_layer"
Factors = Mapping[str, dict[str, Tensor]]
"""A and B by the path of the wrapper."""


class FusedFactors(NamedTuple):
    """The factors of one fused parameter: path of its module, its name, rank, A (rank N, in), B (out, rank N)."""

    path: str
    name: str
    r: int
    A: Tensor
    B: Tensor


def fused_stacks(anatomy: Anatomy) -> dict[str, Stack]:
    """The modules with fused experts by their name in the model without wrappers."""
    found: dict[str, Stack] = {}
    for block in anatomy.blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            for stack in stacks(block.mlp.experts):
                found[path_without_wrappers(anatomy.model, stack.site.path)] = stack
    return found


def split_fused(anatomy: Anatomy, factors: Factors) -> tuple[list[FusedFactors], dict[str, dict[str, Tensor]]]:
    """The factors of fused parameters, and all others. Raises `ModelError` where they fit no parameter of the module,
    or more than one.
    """
    modules = fused_stacks(anatomy)
    found: list[FusedFactors] = []
    rest: dict[str, dict[str, Tensor]] = {}
    by_module: dict[str, list[str]] = {}
    for path, factor in factors.items():
        module = _stem(path)
        if module in modules:
            by_module.setdefault(module, []).append(path)
        else:
            rest[path] = factor
    for module, paths in by_module.items():
        inner_first = sorted(paths, key=len, reverse=True)
        left = list(modules[module].names)
        for place, path in enumerate(inner_first):
            name = _parameter(modules[module], factors[path], left, path, certain=len(left) == len(paths) - place)
            # Parameters that come before it lie further inside.
            left = left[left.index(name) + 1 :]
            a, b = factors[path]["A"], factors[path]["B"]
            found.append(FusedFactors(module, name, len(a) // modules[module].experts, a, b))
    return found, rest


def fused_tensors(path: str, layer: ExpertLoRALayer) -> Iterator[FusedFactors]:
    """The factors of a layer under the paths that PEFT gives its wrappers."""
    updates = list(layer.scaling)
    for depth, name in enumerate(reversed(updates)):
        a, b = layer.factors(name)
        yield FusedFactors(path + depth * _INNER, name, len(a) // layer.experts, a, b)


def _stem(path: str) -> str:
    while path.endswith(_INNER):
        path = path.removesuffix(_INNER)
    return path


def _parameter(stack: Stack, factor: dict[str, Tensor], left: list[str], path: str, *, certain: bool) -> str:
    """The parameter that factors belong to, by their sizes; `certain`: there are as many as parameters."""
    a, b = factor["A"], factor["B"]
    fitting: list[str] = []
    for name in left:
        experts, outputs, inputs = getattr(stack.site.get(), name).shape
        if stack.transposed:
            inputs, outputs = outputs, inputs
        if (a.shape[1], b.shape[0]) == (inputs, outputs) and len(a) % experts == 0 and len(a) == b.shape[1]:
            fitting.append(name)
    if certain:
        fitting = [name for name in fitting if name == left[0]]
    if len(fitting) != 1:
        names = " and ".join(fitting) or "none"
        raise ModelError(
            f"{path}: factors of shapes {tuple(a.shape)} and {tuple(b.shape)} fit {names} of its fused parameters "
            f"({', '.join(stack.names)})"
        )
    return fitting[0]
