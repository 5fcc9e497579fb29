"""Merge several dense models of one shape into a mixture: the FFNs of a model become its expert.

The idea is that of mergekit-moe; Branch-Train-MiX (Sukhbaatar et al., arXiv 2403.07816) trains the models on a domain
each, merges them like this, with the mean of everything else, and trains on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from ...anatomy import describe
from ...calibration.ffn_samples import calibrate
from ...errors import ModelError, check_choice
from ..config import MoEConfig
from ..conversion.convert import convert
from ..conversion.preconditions import FFN, feed_forwards, to_convert
from ..layer import MoEFFN
from .merged_layers import check_down_biases, matching_ffns, put_experts, to_average, write_means

Model = TypeVar("Model", bound=nn.Module)
Rest = Literal["base", "mean"]

# Shapes: N experts, D width.


def merge_experts(
    base: Model,
    models: Sequence[nn.Module],
    config: MoEConfig,
    *,
    rest: Rest = "base",
    prompts: Sequence[Iterable[object]] | None = None,
    centre: bool = False,
) -> Model:
    """Put mixtures in the places of the FFNs of a model, in place, whose expert i is the FFN of `models[i]`.

    Where the biases of the down projections differ, each expert gets one more neuron, which has the same value for
    every token and holds its bias.

    Args:
        base: the model that changes; it may be one of the models.
        models: one for each expert, of the same shape as `base`. They stay as they are and share no memory with the
            result.
        config: with split "whole" and as many experts as there are models; the router starts as it says.
        rest: everything but the FFNs: that of "base", or the "mean" over the models.
        prompts: batches for each model (as `calibrate` takes them). Row i of the router then is the mean input of the
            FFN in `base` over the tokens of the prompts of model i, at length 1.
        centre: take the mean of these means over the models off first: what all texts have in common says nothing about
            the choice.

    Returns:
        `base`.

    Raises:
        ModelError: models of another shape or activation (which, and where), what `convert` refuses, and prompts that
            are missing, empty or all the same. `base` stays as it was.

    Example::

        config = MoEConfig(split="whole", num_experts=3, top_k=2, score="softmax_topk", balance="switch")
        merge_experts(base, [base, code, law], config, rest="mean", prompts=[batches, code_batches, law_batches])
    """
    check_choice("rest", rest, get_args(Rest))
    _check_config(config, models, prompts)
    anatomy = describe(base)
    ours = to_convert(anatomy, feed_forwards(anatomy), config)
    theirs = [matching_ffns(base, ours, model, number, config) for number, model in enumerate(models, start=1)]
    check_down_biases(ours, theirs)
    averages = to_average(base, ours, models) if rest == "mean" else []
    rows = None if prompts is None else _rows(base, ours, prompts, centre=centre)
    # What can be refused has been refused, but for what `convert` refuses, and that leaves the model as it was.
    convert(base, config)
    blocks = describe(base).blocks
    for place, ffn in enumerate(ours):
        mlp = blocks[ffn.block].mlp
        assert mlp is not None
        layer: MoEFFN = mlp.site.get()
        put_experts(layer, [ffns[place] for ffns in theirs])
        if rows is not None:
            _start_router(layer, rows[place])
    write_means(averages)
    return base


def _check_config(config: MoEConfig, models: Sequence[nn.Module], prompts: Sequence[object] | None) -> None:
    if config.split != "whole" or config.reinit:
        raise ModelError(f"split={config.split!r}, reinit={config.reinit}: merging needs split='whole' and reinit=0")
    if len(models) < 2:
        raise ModelError(f"merging needs two models or more, not {len(models)}: to copy one, convert it")
    if config.num_experts != len(models):
        raise ModelError(f"num_experts={config.num_experts} must be the number of models to merge, {len(models)}")
    if prompts is None:
        return
    if len(prompts) != len(models):
        raise ModelError(f"prompts for {len(prompts)} models, but {len(models)} are merged: give each its own")
    if config.router != "linear":
        raise ModelError(f"router={config.router!r} has no rows that prompts could give: use router='linear'")


@torch.no_grad()
def _rows(base: nn.Module, ours: list[FFN], prompts: Sequence[Iterable[object]], *, centre: bool) -> list[Tensor]:
    """Router rows (N, D) of each FFN."""
    by_model = []
    for batches in prompts:
        samples = calibrate(base, batches).samples
        by_model.append([samples[ffn.place].x.double().mean(0) for ffn in ours])
    rows = []
    for place, ffn in enumerate(ours):
        mean_ND = torch.stack([means[place] for means in by_model])
        if centre:
            mean_ND = mean_ND - mean_ND.mean(0)
        length_N1 = mean_ND.norm(dim=1, keepdim=True)
        if (length_N1 == 0).any():
            raise ModelError(f"{ffn.mlp.site.path}: the prompts of a model are like the mean of all: give it its own")
        rows.append(mean_ND / length_N1)
    return rows


@torch.no_grad()
def _start_router(layer: MoEFFN, rows_ND: Tensor) -> None:
    weight: Any = layer.router.weight
    weight.copy_(rows_ND)
