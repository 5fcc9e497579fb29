"""Packed weights as a part of a model that folders of our own say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from ....errors import ModelError

# Operators of packed weights register when they are imported: a cell that makes such weights passes through them.
from ..grid import Grid
from ..packed import packed_operators as packed_operators
from ..packed.packed_tensor import PackedTensor


class PackedWeights:
    """Parameters in packed storage; see `hub.parts.FolderPart`."""

    floor = 4

    def holds(self, module: nn.Module) -> bool:
        """Whether a parameter of a module is packed."""
        return any(isinstance(value, PackedTensor) for value in module._parameters.values())

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """By name, the grid and layout of each packed weight."""
        found = {}
        for name, value in packed_weights(model):
            found[name] = {"grid": asdict(value.grid), "columns": value.columns, "transposed": value.transposed}
        return found

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Nothing: packed weights have the shapes of dense ones, in whose places they are put."""

    def store(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        """The parts of each weight in its place."""
        stored: dict[str, Tensor] = {}
        for name, value in tensors.items():
            if isinstance(value, PackedTensor):
                stored |= {f"{name}.{part}": tensor for part, tensor in value.parts().items()}
            else:
                stored[name] = value
        tensors.clear()
        tensors.update(stored)

    def restore(self, model: nn.Module, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Each weight in the place of its parts."""
        for name, entry in description.items():
            grid = Grid(**entry["grid"])
            parts = ["words", "scale"] if grid.symmetric else ["words", "scale", "zero"]
            missing = [part for part in parts if f"{name}.{part}" not in tensors]
            if missing:
                raise ModelError(f"there is no {', '.join(missing)} of {name}: the folder is not whole")
            found = {part: tensors.pop(f"{name}.{part}") for part in parts}
            tensors[name] = PackedTensor(
                found["words"],
                found["scale"],
                found.get("zero"),
                grid=grid,
                columns=entry["columns"],
                transposed=entry["transposed"],
            )

    def finish(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Nothing."""


def packed_weights(model: nn.Module) -> Iterator[tuple[str, PackedTensor]]:
    """The packed weights of a model by name.

    Args:
        model: any model.

    Yields:
        Name and weight of each.
    """
    for name, value in model.named_parameters():
        if isinstance(value, PackedTensor):
            yield name, value
