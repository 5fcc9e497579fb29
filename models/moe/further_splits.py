"""Splits that other packages and programs add to those of `splits/`, by the name that `MoEConfig.split` has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_args

from ..errors import ModelError, check_choice
from ..registry import Registry, function_in

Split = Callable[[Any], Any]
"""Gives a `splits.Partition` for a `splits.SplitInput`, which know the configuration and so stand above this file."""
SplitName = Literal[
    "random", "sequential", "cluster", "coact", "gradient", "gradient_share", "residual", "cmoe", "transport", "whole"
]
Need = Literal["activations", "gradients"]


@dataclass(frozen=True)
class FurtherSplit:
    """A construction of `Partition`s, and what calibration must have seen for it."""

    split: Split
    needs: frozenset[Need]


def _read(module: ModuleType) -> FurtherSplit:
    return _made(function_in(module, "split"), getattr(module, "NEEDS", ()))


def _made(split: Split, needs: Collection[Need]) -> FurtherSplit:
    if isinstance(needs, str):
        raise ModelError(f"needs={needs!r} must be a list")
    for need in needs:
        check_choice("needs", need, get_args(Need))
    return FurtherSplit(split, frozenset(needs))


FURTHER: Registry[FurtherSplit] = Registry("split", get_args(SplitName), _read)
"""All splits, others too."""


def register_split(name: str, split: Split, *, needs: Collection[Need] = ()) -> None:
    """Let `MoEConfig(split=name)` mean a function of yours, in this process.

    A package has an entry point in the group `sparsebench.splits` instead, for a module with a function `split` and,
    where it needs anything, a constant `NEEDS`.

    Args:
        name: an identifier that no split has yet.
        split: gives a `Partition` for a `SplitInput`; random numbers come from the generator of its input.
        needs: what calibration must have seen: "activations", "gradients".

    Raises:
        ModelError: the name is taken, or nobody can give what is needed.

    Example::

        def by_norm(inp: SplitInput) -> Partition:
            order = inp.down.norm(dim=0).argsort(descending=True, stable=True).cpu()
            shared, rest = order[: inp.shared_size], order[inp.shared_size :]
            return Partition(shared=shared, experts=rest.split(list(inp.expert_sizes)))

        register_split("by_norm", by_norm)
        convert(model, MoEConfig(num_experts=8, split="by_norm"))
    """
    FURTHER.register(name, _made(split, needs), split.__module__)
