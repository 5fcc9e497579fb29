"""The mixtures of a model, and statistics that are of just these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ....anatomy import MLP, Block, Experts, describe
from ....calibration.digests import weights_digest
from ....calibration.mixture_statistics import LayerStatistics
from ....errors import ModelError


@dataclass(frozen=True, eq=False)
class Mixture:
    """One mixture of experts: its block, FFN and experts."""

    block: Block
    mlp: MLP
    experts: Experts

    @property
    def path(self) -> str:
        """Its dotted name in the model."""
        return self.mlp.site.path


def mixtures_of(model: nn.Module) -> list[Mixture]:
    """The mixtures in the order of the blocks. Raises `ModelError` for a model without one."""
    found: list[Mixture] = []
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            found.append(Mixture(block, block.mlp, block.mlp.experts))
    if not found:
        raise ModelError(f"{type(model).__name__} has no mixture of experts")
    return found


def changeable_mixtures(model: nn.Module, *, weights: bool = False) -> list[Mixture]:
    """Those of `mixtures_of`. Raises `ModelError`, too, where adapters would not follow when experts go.

    With `weights` also where they would not when weights of experts change.
    """
    found = mixtures_of(model)
    for mixture in found:
        if weights:
            mixture.experts.check_weights_unadapted()
        else:
            mixture.experts.check_unadapted()
    return found


def check_statistics(mixtures: Sequence[Mixture], statistics: Sequence[LayerStatistics]) -> None:
    """Raise a `ModelError` unless the statistics have just these mixtures, with as many experts and these routers.

    Whoever takes layers or experts out of a model has to look at the experts that are left again. Names and numbers are
    the same in any two models of a kind: the weights of the routers say which one it was.
    """
    ours = [(mixture.path, mixture.experts.num_experts) for mixture in mixtures]
    theirs = [(layer.layer, layer.num_experts) for layer in statistics]
    if ours == theirs:
        _check_routers(mixtures, statistics)
        return
    differing = [text for text, other in zip(map(_named, theirs), map(_named, ours), strict=False) if text != other]
    detail = f", the first other one {differing[0]}" if differing else ""
    raise ModelError(
        f"the statistics are of {len(theirs)} mixtures{detail}; the model has {len(ours)}, {_named(ours[0])} and so "
        "on: take them of the model as it is now, by mixture_statistics(model, batches)"
    )


def _check_routers(mixtures: Sequence[Mixture], statistics: Sequence[LayerStatistics]) -> None:
    for mixture, layer in zip(mixtures, statistics, strict=True):
        router = weights_digest(mixture.experts.router.get())
        if None not in (router, layer.router_digest) and router != layer.router_digest:
            raise ModelError(
                f"the statistics are of another model: the router {mixture.experts.router.path} had other weights when "
                "they were taken; take them of the model as it is now, by mixture_statistics(model, batches)"
            )


def _named(mixture: tuple[str, int]) -> str:
    return f"{mixture[0]} with {mixture[1]} experts"
